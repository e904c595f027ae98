"""Counters and histograms of the ingress, for Prometheus to scrape from Ray. Names: docs/operations.md."""

from ray.util.metrics import Counter, Histogram

from serving.funnel.runner import Outcome
from serving.request.answer import Answer


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

    def log_dropped(self, client: str) -> None:
        """Count one request that the full log queue had no room for."""
        self._dropped.inc(1, {"client": client})
