"""What one core does, fitted to the points that `python -m apps.bench.capacity` measured. Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import ConfigError

SHIPPED = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class Curves:
    """CPU milliseconds of a core, and bytes. Beyond the measured sizes they are extrapolated."""

    walk: tuple[float, float, float]  # ms of a request, ns of a step, and what a step gains with log2 of the edges
    rank: tuple[float, float, float]  # ms of a request, of a candidate, of a survivor of the lightweight stage
    server_ms: float  # what HTTP, JSON, Serve and the log cost a request beside its stages
    log_bytes: float  # of a logged candidate
    edge_bytes: float
    link_bytes: float  # of an edge, beside `edge_bytes`
    node_bytes: float  # of a pin or board: indices, ids, features, vectors
    replica_bytes: float  # of an ingress replica with all stages, without the graph, which replicas share
    base_bytes: float  # of Ray and Serve on a machine
    build_seconds: float  # of one core, for an edge
    build_bytes: float  # at the peak, for an edge
    smallest: int  # edges of the smallest graph that was walked; smaller ones are taken for it
    largest: int  # of the largest
    where: str  # processor and day

    def walk_ms(self, edges: float, steps: float) -> float:
        """Of a request's random walks."""
        return walk_ms(self.walk, max(edges, self.smallest), steps)

    def rank_ms(self, candidates: float, survivors: float) -> tuple[float, float, float]:
        """Of a request before its candidates are looked at, of the lightweight stage, and of the full ranker."""
        fixed, candidate, survivor = self.rank
        return fixed, candidate * candidates, survivor * survivors


def walk_ms(walk: tuple[float, float, float], edges: float, steps: float) -> float:
    """Of a request: caches hold less of a larger graph, so a step costs more with the logarithm of its edges."""
    base, step, growth = walk
    return base + steps * 1e-6 * (step + growth * math.log2(edges))


def read_curves(path: Path = SHIPPED) -> Curves:
    """From the bench's file. Raises ConfigError for a file that is not one of its."""
    try:
        return fit(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--curves: {path} is not what `python -m apps.bench.capacity --json` writes ({error!r})"
        ) from None


def fit(found: Mapping[str, Any]) -> Curves:
    """Least squares over the bench's points. What a candidate, a survivor and a request cost is never negative."""
    walk = _fitted(
        [(1.0, 1e-6 * p["steps"], 1e-6 * p["steps"] * math.log2(p["edges"])) for p in found["walk"]],
        [p["ms"] for p in found["walk"]],
        lower=(0.0, -math.inf, 0.0),  # a line in the logarithm may cross zero far below the smallest graph
    )
    request = found["request"]
    bundle = found["bundle"]
    server = found["server"]
    rank = _fitted(
        [(1.0, p["candidates"], p["survivors"]) for p in request],
        [p["ms"] - walk_ms(walk, p["edges"], p["steps"]) for p in request],
    )
    whole = request[-1]["ms"]
    build = found["build"]
    return Curves(
        walk=walk,
        rank=rank,
        server_ms=max(server["ms"] - whole, 0.0),
        log_bytes=found["log"]["bytes"] / found["log"]["candidates"],
        edge_bytes=bundle["edge_bytes"] / bundle["edges"],
        link_bytes=bundle["link_bytes"] / bundle["edges"],
        node_bytes=bundle["other_bytes"] / (bundle["pins"] + bundle["boards"]),
        replica_bytes=server["replica_mb"] * 2**20,
        base_bytes=server["base_mb"] * 2**20,
        build_seconds=build["cpu_seconds"] / build["edges"],
        build_bytes=build["peak_mb"] * 2**20 / build["edges"],
        smallest=min(p["edges"] for p in found["walk"]),
        largest=max(p["edges"] for p in found["walk"]),
        where=f"{found['machine']['cpu']}, {found['measured']}, load {found['machine']['load']}",
    )


def _fitted(
    rows: Sequence[tuple[float, float, float]],
    values: Sequence[float],
    lower: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> tuple[float, float, float]:
    """Least squares of relative errors, so that a small request counts as much as a large one, within bounds."""
    import numpy as np  # not for `pinfunnel --help`
    from scipy.optimize import lsq_linear

    weight = 1.0 / np.maximum(np.array(values), 1e-3)
    found = lsq_linear(np.array(rows) * weight[:, None], np.array(values) * weight, (lower, (np.inf,) * 3)).x
    return float(found[0]), float(found[1]), float(found[2])
