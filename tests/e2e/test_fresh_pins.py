"""Two replicas of each kind: a pin that is saved now is soon in the answers of all of them."""

import time
from pathlib import Path
from typing import Any

import pytest
from ray import serve

from apps.project import open_project
from apps.serve import start
from cluster.catalog.build import build_catalog
from cluster.ports import free_ports
from tests.worlds import calls
from tests.worlds.toy import toy_project

NEW = 10**9
SEEN = 40
"""Answers with the pin, one after the other: with two ingresses, that all come from one has a chance of 2^-39."""
PATIENCE = 300.0
"""Seconds; how few it takes is printed."""


def boards_of(catalog: Any, pin: int) -> list[int]:
    graph = catalog.graph
    at = int(graph.pin_ids.index_of([pin])[0])
    return graph.board_ids.ids_of(graph.pin_boards[graph.pin_offsets[at] : graph.pin_offsets[at + 1]]).tolist()


@pytest.mark.usefixtures("ray_session")
def test_a_pin_is_recommended_by_every_replica_soon_after_its_save(tmp_path: Path) -> None:
    path = toy_project(tmp_path, settings={"serving": {"port": free_ports(1)[0], "deadline_ms": 10_000}})
    opened = open_project(path)
    process = opened.new_process()
    build_catalog(opened.project, process.store, in_memory=True)
    catalog = process.catalogs.current
    start_pin = int(catalog.graph.pin_ids.ids_of(catalog.pins.popular(-1, 1))[0])
    two = dict.fromkeys(("walker_replicas", "source_replicas", "lightweight_replicas", "full_replicas"), 2)
    server = start(str(path), shape="separate", ingress_replicas=2, cpus=0.05, **two)
    body = {"query_pins": [{"pin_id": start_pin}], "limit": 500, "order": "visit_count"}

    def answer() -> dict[str, Any]:
        got = calls.post(f"{server.url}/v1/related_pins/recommendations", json=body, timeout=30)
        assert got.status_code == 200, got.text
        return got.json()

    def seconds_until(pin: int, since: float) -> tuple[float, float]:
        """Until the first answer with it, and until the first of SEEN answers that all have it."""
        first, run_began, run = 0.0, 0.0, 0
        while run < SEEN:
            assert time.perf_counter() - since < PATIENCE, f"{run} answers with it"
            asked = time.perf_counter()
            got = answer()
            if pin in {each["pin_id"] for each in got["pins"]}:
                assert got["degraded"] == ""
                first = first or asked
                run_began = run_began if run else asked
                run += 1
            else:
                run = 0
        return first - since, run_began - since

    try:
        assert NEW not in {each["pin_id"] for each in answer()["pins"]}
        for at in range(2):
            since = time.perf_counter()
            row = {"pin_id": NEW + at, "boards": boards_of(catalog, start_pin), "topics": ["t1"]}
            told = calls.post(f"{server.url}/v1/pins", json={"pins": [row]}, timeout=30)
            assert told.json() == {"accepted": 1, "refused": []}
            first, every = seconds_until(NEW + at, since)
            print(f"recommended {first:.1f} s after the POST began, by every replica after {every:.1f} s")
        assert calls.get(f"{server.url}/readyz", timeout=30).json()["status"] == "ok"
    finally:
        server.stop()
        serve.shutdown()
