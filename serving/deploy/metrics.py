"""What is told to which metric, for Prometheus to scrape from Ray. Names and meanings: serving/deploy/declared.py."""

from collections.abc import Callable, Iterable, Mapping

from cluster.settings.clients import WALK, Client
from cluster.store.bundles import begun_at
from serving.deploy import declared
from serving.deploy.instruments import Counted, Measured, Times
from serving.funnel.runner import Outcome, Reason
from serving.lightweight.feature_watch import FeatureState
from serving.logs.health import Backlog
from serving.request.answer import Answer
from serving.request.served import ServedBundles

RANKING = ("mix", "lightweight", "full", "explain", "explain_full", "teacher")
REMOVED_BY = ("hidden", "seen", "policy")
"""Under these names the filters that ship count what they leave out."""
EVENT_OUTCOMES = ("stored", "refused", "not_stored")
REFUSED_FOR = ("full", "late", "unknown", "forbidden", "limited")
MISSED: tuple[Outcome, ...] = ("late", "failed", "skipped")
NOTED: tuple[tuple[str, Reason], ...] = (
    ("full", "partial"),
    ("explain_full", "partial"),
    ("events", "stale"),
    ("candidates", "query_pins"),
    ("candidates", "popular"),
    ("answer", "short"),
    ("request", "late"),
    (WALK, "shards"),
    ("experiment", "arm"),
)


class Metrics:
    """What the ingress reports of every answer and of every stage."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._stage = Times(declared.STAGE)
        self._whole = Times(declared.REQUEST)
        self._candidates = Counted(declared.CANDIDATES)
        self._removed = Counted(declared.REMOVED)
        self._fallbacks = Counted(declared.FALLBACKS)
        self._degraded = Counted(declared.DEGRADED)
        self._exposed = Counted(declared.EXPOSED, begins=True)
        self._refused = Counted(declared.REFUSED)
        self._events = Counted(declared.EVENTS)
        self._dropped = Counted(declared.DROPPED)
        for client in clients.values():
            self._begin(client)
        for why in REFUSED_FOR:
            self._refused.add(0, why)
        for outcome in EVENT_OUTCOMES:
            self._events.add(0, outcome)
        self.export()

    def _begin(self, client: Client) -> None:
        """Every series of a client at 0."""
        name = client.name
        for stage in (*client.sources, *RANKING):
            for outcome in MISSED:
                self._fallbacks.add(0, name, stage, outcome)
        for stage, reason in NOTED:
            self._fallbacks.add(0, name, stage, reason)
        for stage in dict.fromkeys((*client.sources, "popular", "lightweight", "full", "answer")):
            self._candidates.add(0, name, stage, "in")
            self._candidates.add(0, name, stage, "out")
        for step in REMOVED_BY:
            self._removed.add(0, name, step)
        self._degraded.add(0, name)
        self._dropped.add(0, name)

    def export(self) -> None:
        """Tell Ray what was counted since the last time."""
        counters = (
            self._candidates,
            self._removed,
            self._fallbacks,
            self._degraded,
            self._exposed,
            self._refused,
            self._events,
            self._dropped,
        )
        for counter in counters:
            counter.export()

    def answered(self, answer: Answer, milliseconds: float) -> None:
        """Count one answer, and what went into each of its stages and came out."""
        client = answer.ask.client
        self._whole.note(milliseconds, client)
        for stage in answer.stages:
            self._candidates.add(stage.received, client, stage.stage, "in")
            self._candidates.add(stage.kept, client, stage.stage, "out")
        self._candidates.add(len(answer.candidates.pins), client, "answer", "in")
        self._candidates.add(len(answer.shown), client, "answer", "out")
        for step, count in answer.removed.items():
            self._removed.add(count, client, step)
        if answer.degraded:
            self._degraded.add(1, client)
        for arm in answer.exposure:
            self._exposed.add(1, client, arm, "yes" if answer.degraded else "no")
        if answer.candidates.source == "popular" and "popular" not in answer.candidates.sources.names:
            self._fallbacks.add(1, client, "candidates", "popular")

    def stage_ended(self, client: str, stage: str, outcome: Outcome, milliseconds: float) -> None:
        """Time one stage, or count why it has no result."""
        if outcome == "done":
            self._stage.note(milliseconds, client, stage)
        else:
            self._fallbacks.add(1, client, stage, outcome)

    def noted(self, client: str, stage: str, reason: Reason) -> None:
        """Count what an answer lacks of a stage that has a result."""
        self._fallbacks.add(1, client, stage, reason)

    def refused(self, why: str) -> None:
        """Count one call that was answered 401, 403 or 429."""
        self._refused.add(1, why)

    def events(self, outcome: str, count: int) -> None:
        """Count events by what became of them."""
        self._events.add(count, outcome)

    def log_dropped(self, client: str) -> None:
        """Count one request that the full log queue had no room for."""
        self._dropped.add(1, client)


class BundleMetrics:
    """What a replica reports of the bundles that it watches."""

    def __init__(self) -> None:
        self._problems = Measured(declared.BUNDLE_PROBLEMS)
        self._told: set[str] = set()  # kinds that had a problem once, of which some have no version
        self._made = Measured(declared.BUNDLE_MADE)

    def looked(self, bundles: ServedBundles) -> None:
        """Set every kind's count, to 0 where nothing is wrong, and when what serves was made."""
        counts = dict.fromkeys(self._told, 0) | bundles.problem_counts
        self._told.update(counts)
        for kind, count in counts.items():
            self._problems.set(count, kind)
        for kind, version in bundles.versions.items():
            self._made.set(begun_at(version or "") / 1e6, kind)


class LogMetrics:
    """What a replica reports of logs that it writes: looked at when asked to."""

    def __init__(self, logs: Mapping[str, Callable[[], Backlog]]) -> None:
        """`logs` by name."""
        self._logs = logs
        self._rows = Measured(declared.LOG_ROWS)
        self._bytes = Measured(declared.LOG_BYTES)
        self._age = Measured(declared.LOG_AGE)
        self._problems = Measured(declared.LOG_PROBLEMS)

    def look(self) -> None:
        """Set every gauge."""
        for name, of in self._logs.items():
            backlog = of()
            self._rows.set(backlog.rows, name)
            self._problems.set(backlog.problems, name)
            if backlog.bytes is not None and backlog.oldest_seconds is not None:
                self._bytes.set(backlog.bytes, name)
                self._age.set(backlog.oldest_seconds, name)


class FeatureMetrics:
    """What a replica that ranks reports of the features that it computes."""

    def __init__(self, states: Callable[[], Iterable[FeatureState]]) -> None:
        self._states = states
        self._psi = Measured(declared.PSI)
        self._nan = Measured(declared.NAN_SHARE)

    def look(self) -> None:
        """Set every gauge that there is enough traffic for."""
        for state in self._states():
            self._nan.set(state.nan_share, state.client, state.feature)
            if state.psi is not None:
                self._psi.set(state.psi, state.client, state.feature)


class TurnMetrics:
    """How many requests wait for their turn in this ingress."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._waiting = waiting
        self._gauge = Measured(declared.WAITING)

    def look(self) -> None:
        """Set the gauge."""
        self._gauge.set(self._waiting())
