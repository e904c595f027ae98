"""CPU that metrics, the look at features, and the log's accounts cost a request.

In one process that has joined a Ray of its own, as a replica has: what is told of an answer of four stages, with the
threads that tell Ray of it. `histograms` alone is what a request cost when each event was told to Ray by itself and
only times were told.

    pinfunnel bench telemetry [--quick] [--json OUT]
"""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from apps.bench.machine import machine, versions
from cluster import session
from cluster.features.assemble import FeatureBlock
from cluster.features.drift import FeatureHistograms
from cluster.settings.clients import Client
from serving.http.request_lines import RequestLines
from serving.lightweight.feature_watch import FeatureWatch
from serving.logs.log_batch import bytes_of
from serving.request.answer import StageTiming

CLIENT = "homefeed"
STAGES = ("walk", "mix", "lightweight", "full")
CANDIDATES = 2000
SHARED = 15
PER_CANDIDATE = 45
PER_SECOND = 100.0
"""Requests, for what is done by the clock and not by the request."""


def run(quick: bool = False) -> dict[str, Any]:
    """Microseconds of CPU a request, by part and together."""
    n = 2_000 if quick else 50_000
    with session.session(dashboard=False):
        parts = {name: _microseconds(call, n) for name, call in _parts().items()}
    together = sum(cost for name, cost in parts.items() if name != "histograms")
    return {
        "microseconds": parts,
        "together": round(together, 1),
        "requests": n,
        "machine": machine(),
        "versions": versions("ray", "numpy"),
    }


def _microseconds(call: Callable[[], None], n: int) -> float:
    call()
    began = time.process_time()
    for _ in range(n):
        call()
    return round(1e6 * (time.process_time() - began) / n, 2)


def _parts() -> dict[str, Callable[[], None]]:
    from serving.deploy.metrics import Metrics
    from serving.deploy.pulse import Pulse

    metrics = Metrics({CLIENT: Client(name=CLIENT)})
    Pulse().add(metrics.export)
    answer: Any = _answer()
    lines = RequestLines(0.0)
    rng = np.random.default_rng(0)
    block = FeatureBlock(
        rng.normal(size=SHARED).astype(np.float32), rng.normal(size=(CANDIDATES, PER_CANDIDATE)).astype(np.float32)
    )
    names = tuple(f"f{at}" for at in range(SHARED + PER_CANDIDATE))
    now = [0.0]
    watch = FeatureWatch(names, lambda: now[0])
    watch.compare_with(CLIENT, FeatureHistograms.of(names, block.matrix()))
    row = {f"column {at}": block.candidates if at < 20 else "" for at in range(40)}

    def histograms() -> None:
        for stage in STAGES:
            metrics.stage_ended(CLIENT, stage, "done", 3.0)

    def told() -> None:
        histograms()
        metrics.answered(answer, 12.0)

    def looked() -> None:
        now[0] += 1 / PER_SECOND
        watch.note(CLIENT, block)

    def written() -> None:
        lines.answered(answer, "id", 12.0)

    def queued() -> None:
        bytes_of(row)  # when it comes
        bytes_of(row)  # and when it has gone

    return {"histograms": histograms, "metrics": told, "features": looked, "lines": written, "queue": queued}


def _answer() -> Any:
    stages = [StageTiming(stage, None, CANDIDATES, 500, 3.0) for stage in STAGES if stage != "mix"]
    return SimpleNamespace(
        ask=SimpleNamespace(client=CLIENT, seed=7),
        stages=stages,
        candidates=SimpleNamespace(pins=range(CANDIDATES), source="walk", sources=SimpleNamespace(names=("walk",))),
        shown=range(25),
        removed={"seen": 4},
        degraded="",
        faults=[],
    )
