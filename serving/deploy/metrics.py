"""Counters, gauges and histograms, for Prometheus to scrape from Ray. Names: docs/operations.md."""

from ray.util.metrics import Counter, Gauge, Histogram

from serving.funnel.runner import Outcome
from serving.request.answer import Answer
from serving.request.served import ServedBundles


class Metrics:
    """What the ingress reports of every answer and of every stage."""

    def __init__(self) -> None:
        bounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
        self._stage = Histogram(
            "pinfunnel_stage_milliseconds", "Time of one stage", boundaries=bounds, tag_keys=("stage", "client")
        )
        self._whole = Histogram(
            "pinfunnel_request_milliseconds", "Time of a request", boundaries=bounds, tag_keys=("client",)
        )
        self._missed = Counter(
            "pinfunnel_stage_missed_total", "Stages without a result", tag_keys=("stage", "client", "outcome")
        )
        self._degraded = Counter("pinfunnel_degraded_total", "Answers without every stage", tag_keys=("client",))
        self._refused = Counter("pinfunnel_refused_total", "Calls answered 401, 403 or 429", tag_keys=("why",))
        self._dropped = Counter("pinfunnel_log_dropped_total", "Requests the log had no room for", tag_keys=("client",))

    def answered(self, answer: Answer, milliseconds: float) -> None:
        """Count one answer."""
        client = {"client": answer.ask.client}
        self._whole.observe(max(milliseconds, 1e-3), client)
        if answer.degraded:
            self._degraded.inc(1, client)

    def stage_ended(self, client: str, stage: str, outcome: Outcome, milliseconds: float) -> None:
        """Time one stage, or count why it has no result."""
        tags = {"stage": stage, "client": client}
        if outcome == "done":
            self._stage.observe(max(milliseconds, 1e-3), tags)
        else:
            self._missed.inc(1, {**tags, "outcome": outcome})

    def refused(self, why: str) -> None:
        """Count one call that was answered 401, 403 or 429."""
        self._refused.inc(1, {"why": why})

    def log_dropped(self, client: str) -> None:
        """Count one request that the full log queue had no room for."""
        self._dropped.inc(1, {"client": client})


class BundleMetrics:
    """What a replica reports of the bundles that it watches."""

    def __init__(self) -> None:
        self._problems = Gauge(
            "pinfunnel_bundle_problems", "Versions set aside, and pointers that name none", tag_keys=("kind",)
        )

    def looked(self, bundles: ServedBundles) -> None:
        """Set every kind's count, to 0 where nothing is wrong."""
        for kind, count in bundles.problem_counts.items():
            self._problems.set(count, {"kind": kind})
