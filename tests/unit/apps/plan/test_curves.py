"""Curves come back from points that lie on them, and a file of something else is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.plan.curves import SHIPPED, fit, read_curves
from cluster.errors import ConfigError

WALK = (0.2, -5.0, 0.7)
RANK = (1.5, 0.002, 0.01)


def points() -> dict[str, Any]:
    """What the bench would write of a machine whose curves are known."""

    def walk(edges: float, steps: float) -> float:
        return WALK[0] + steps * 1e-6 * (WALK[1] + WALK[2] * np.log2(edges))

    sizes = ((500, 125), (1000, 125), (1000, 500), (2000, 500))
    return {
        "measured": "2026-01-01",
        "machine": {"cpu": "a", "load": 1.0},
        "walk": [{"edges": e, "steps": s, "ms": walk(e, s)} for e in (1e5, 1e6, 1e7) for s in (5e4, 2e5)],
        "request": [
            {
                "candidates": c,
                "survivors": s,
                "steps": 1e5,
                "edges": 1e6,
                "ms": RANK[0] + RANK[1] * c + RANK[2] * s + walk(1e6, 1e5),
            }
            for c, s in sizes
        ],
        "log": {"candidates": 2000, "ms": 1.0, "bytes": 160_000},
        "bundle": {
            "pins": 90,
            "boards": 10,
            "edges": 1000,
            "edge_bytes": 8000,
            "link_bytes": 16000,
            "other_bytes": 500,
        },
        "server": {"ms": 30.0, "replica_mb": 500.0, "base_mb": 900.0},
        "build": {"edges": 1000, "cpu_seconds": 2.0, "peak_mb": 1.0},
    }


def test_what_the_points_were_made_of_is_found_again() -> None:
    found = fit(points())
    assert found.walk == pytest.approx(WALK, rel=1e-6)
    assert found.rank == pytest.approx(RANK, rel=1e-6)
    assert found.walk_ms(2.0**40, 1e6) == pytest.approx(0.2 - 5.0 + 0.7 * 40)
    assert found.walk_ms(10, 1e5) == found.walk_ms(1e5, 1e5), "no smaller graph was walked"
    whole = RANK[0] + RANK[1] * 2000 + RANK[2] * 500 + found.walk_ms(1e6, 1e5)
    assert found.server_ms == pytest.approx(30.0 - whole)
    assert (found.log_bytes, found.edge_bytes, found.link_bytes, found.node_bytes) == (80.0, 8.0, 16.0, 5.0)
    assert found.build_bytes == 2**20 / 1000


def test_the_file_that_ships_is_of_this_bench_and_says_where_it_was_measured() -> None:
    shipped = read_curves()
    assert shipped.largest > 10_000_000, "not of --quick"
    assert 5e-6 < shipped.walk_ms(1e7, 2e5) / 2e5 < 5e-4
    assert all(value >= 0 for value in (shipped.walk[0], shipped.walk[2], *shipped.rank))
    assert json.loads(SHIPPED.read_text())["measured"] in shipped.where


def test_another_file_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    for text in ("not JSON", "{}", "[]"):
        other.write_text(text)
        with pytest.raises(ConfigError, match=r"--curves: .*other\.json is not what"):
            read_curves(other)
