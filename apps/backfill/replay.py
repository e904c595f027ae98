"""History replayed through the funnel: at each past moment, what was known then proposes candidates with features.

For users who have interactions but no serving log yet. Time is cut into slices; before each slice the graph is built
from the edges and events up to then; within it a user's newer actions are known to the walk, as live ones are when
serving.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apps.project import Opened
from cluster.catalog.build import Tables, build_catalog_in_memory, known_topics
from cluster.data.cleaning import Tally, clean_events, now_us
from cluster.data.inputs import open_inputs
from cluster.errors import DataError
from cluster.kinds import GRAPH
from cluster.progress import Progress, silent
from cluster.store.bundles import note_meta
from serving.deploy.process import Process
from serving.request.answer import Answer
from serving.request.ask import Recents, WalkAsk


@dataclass(frozen=True)
class ReplayPlan:
    """How densely history is replayed: `graphs` rebuilds, and a request every `every` actions of a user."""

    graphs: int = 6
    every: int = 10
    min_history: int = 3
    horizon_hours: float = 24.0
    since: datetime | None = None
    until: datetime | None = None
    seed: int = 0


@dataclass(frozen=True)
class Replayed:
    """One past moment: the funnel's answer, and what the user did next with pins not touched before."""

    answer: Answer
    next_pins: np.ndarray  # ids of the next actions, in time order
    next_actions: np.ndarray  # object (str)
    next_at: np.ndarray  # int64, microseconds


@dataclass(frozen=True)
class _User:
    """One user's cleaned events, oldest first."""

    pins: np.ndarray
    actions: np.ndarray
    clients: np.ndarray
    at: np.ndarray


class Replay:
    """Reads a project's inputs once and replays any span of them for one client."""

    def __init__(self, opened: Opened):
        inputs = open_inputs(opened.project)
        if "events" not in inputs:
            raise DataError("backfill needs past interactions: set data.events in pinfunnel.yaml")
        if not inputs["edges"].has("saved_at"):
            raise DataError("backfill needs to know when edges were made: map data.edges.columns.saved_at")
        self.opened = opened
        self.process: Process = opened.new_process()
        self._tables = Tables(**{name: one.read() for name, one in inputs.items()})
        tally = Tally()
        clean = clean_events(self._tables.events, opened.project.actions, now_us(), tally).sort_by("occurred_at")
        if not len(clean):
            raise DataError(f"events: none is usable: {dict(tally.dropped)}")
        self.moments = clean["occurred_at"].cast(pa.int64()).to_numpy()
        self._users = _by_user(clean)

    def moment(self, share: float) -> datetime:
        """The time before which `share` of all events happened."""
        at = self.moments[min(int(share * len(self.moments)), len(self.moments) - 1)]
        return datetime.fromtimestamp(int(at) / 1e6, UTC)

    def run(self, client: str, plan: ReplayPlan, progress: Progress = silent) -> Iterator[Replayed]:
        """Every replayed moment, oldest slice first. Each slice's graph is stored, never published."""
        begin = int((plan.since or self.moment(0.2)).timestamp() * 1e6)
        end = int(plan.until.timestamp() * 1e6) if plan.until else int(self.moments[-1]) + 1
        inside = self.moments[(self.moments >= begin) & (self.moments < end)]
        if not len(inside):
            raise DataError("backfill: no event lies in the span asked for")
        cuts = np.unique([begin, *(inside[len(inside) * i // plan.graphs] for i in range(1, plan.graphs)), end])
        for at in range(len(cuts) - 1):
            progress("replay history", at / (len(cuts) - 1))
            self._build(int(cuts[at]))
            yield from self._slice(client, plan, int(cuts[at]), int(cuts[at + 1]))
        progress("replay history", 1.0)

    def _build(self, before: int) -> None:
        """Make the graph of what was known at `before` the one that the process walks."""
        project = self.opened.project
        moment = datetime.fromtimestamp(before / 1e6, UTC)
        meta = {"schema_hash": self.process.features.schema_hash, "edges_before": moment.isoformat()}
        with self.process.store.write(GRAPH, meta, publish=False) as (folder, version):
            topics = known_topics(self.process.store)
            catalog = build_catalog_in_memory(self._tables, project, folder, moment, version, topics)
            note_meta(folder, counts=catalog.counts)
        self.process.walker.load(version)

    def _slice(self, client: str, plan: ReplayPlan, begin: int, end: int) -> Iterator[Replayed]:
        horizon = int(plan.horizon_hours * 3.6e9)
        for user, past in self._users.items():
            first, last = np.searchsorted(past.at, [begin, end])
            for row in range(first, last, plan.every):
                at = int(past.at[row])
                known = int(np.searchsorted(past.at, at))  # strictly before: simultaneous events are the future
                after = slice(known, int(np.searchsorted(past.at, at + horizon)))
                fresh = ~np.isin(past.pins[after], past.pins[:known])
                if known < plan.min_history or not fresh.any():
                    continue
                live = slice(max(int(np.searchsorted(past.at, begin)), known - 256), known)
                newest = slice(None, None, -1)
                ask = WalkAsk(
                    client=client,
                    user_id=user,
                    query_pins=(),
                    exclude=tuple(past.pins[:known].tolist()),
                    locale=None,
                    at=at,
                    seed=(plan.seed * 1_000_003 + at + row) & 0x7FFFFFFF,
                    recents=Recents(
                        past.pins[live][newest].astype(object),
                        past.actions[live][newest],
                        past.clients[live][newest],
                        past.at[live][newest],
                    ),
                )
                answer = self.process.funnel.recommend_now(ask)
                yield Replayed(answer, past.pins[after][fresh], past.actions[after][fresh], past.at[after][fresh])


def _by_user(events: pa.Table) -> dict[int | str, _User]:
    """Events of each user in time order; `events` is sorted by time."""
    order = pc.sort_indices(events, [("user_id", "ascending"), ("occurred_at", "ascending")])
    events = events.take(order)
    users = np.asarray(events["user_id"].to_pylist(), dtype=object)
    starts = np.flatnonzero(np.append(True, users[1:] != users[:-1]))
    columns = _User(
        np.asarray(events["pin_id"].to_numpy(zero_copy_only=False)),
        np.asarray(events["action"].to_pylist(), dtype=object),
        np.asarray(["" if c is None else c for c in events["client"].to_pylist()], dtype=object),
        events["occurred_at"].cast(pa.int64()).to_numpy(),
    )
    out = {}
    for begin, end in zip(starts, [*starts[1:], len(users)], strict=True):
        part = slice(int(begin), int(end))
        out[users[begin]] = _User(columns.pins[part], columns.actions[part], columns.clients[part], columns.at[part])
    return out
