"""Seconds from an order over HTTP to answers that heed it, two replicas of each kind.

A synthetic site of some hundred pins, so what is measured is how an order gets round, not the walk. Orders alternate: a
pin is saved to a board, until 40 answers one after the other have it; a pin is taken down, and 100 answers after it
must not have it. With two ingresses, that so many come from one of them alone has no chance.

    pinfunnel bench orders [--quick] [--json OUT]
"""

import tempfile
import time
from statistics import median
from typing import Any

import httpx

from apps.bench.machine import machine, versions
from apps.project import open_project
from apps.world.world import World
from cluster import session
from cluster.catalog.build import build_catalog
from cluster.ports import free_ports

NEW = 10**9
REPLICAS = ("ingress_replicas", "walker_replicas", "source_replicas", "lightweight_replicas", "full_replicas")
WITH_IT = 40
WITHOUT_IT = 100


def run(quick: bool = False) -> dict[str, Any]:
    """Seconds to the first answer with a fresh pin and to answers with it from all; and to the last with a removed."""
    session.set_flags(None)
    from apps.serve import start

    times = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        settings = {"serving": {"port": free_ports(1)[0], "deadline_ms": 10_000}}
        path = World.make(0, pins=600, boards=200, users=60).write(folder, settings)
        opened = open_project(path)
        process = opened.new_process()
        build_catalog(opened.project, process.store, in_memory=True)
        catalog = process.catalogs.current
        start_pin = int(catalog.graph.pin_ids.ids_of(catalog.pins.popular(-1, 1))[0])
        row = int(catalog.graph.pin_ids.index_of([start_pin])[0])
        (graph,) = catalog.graph.parts
        rows = graph.pin_boards[graph.pin_offsets[row] : graph.pin_offsets[row + 1]]
        boards = catalog.graph.board_ids.ids_of(rows).tolist()
        with session.session(dashboard=False):
            two: dict[str, Any] = dict.fromkeys(REPLICAS, 2)
            server = start(str(path), shape="separate", cpus=0.05, **two)
            try:
                with httpx.Client(base_url=server.url, timeout=30) as http:
                    told = [_order(http, NEW + at, boards, start_pin) for at in range(times)]
            finally:
                server.stop(last=True)
    first, everywhere, gone, still = zip(*told, strict=True)
    return {
        "fresh_first": _spread(first),
        "fresh_everywhere": _spread(everywhere),
        "removed_answered": _spread(gone),
        "answers_with_a_removed_pin": sum(still),
        "answers_after_a_removal": times * WITHOUT_IT,
        "orders": times,
        "machine": machine(),
        "versions": versions("ray"),
    }


def _spread(seconds: tuple[float, ...]) -> dict[str, float]:
    return {"median": round(median(seconds), 4), "most": round(max(seconds), 4)}


def _order(http: httpx.Client, pin: int, boards: list[int], start_pin: int) -> tuple[float, float, float, int]:
    """Save a pin and take it down: seconds to the first answer and to all; to the removal's; answers with it then."""

    def has_it() -> bool:
        body = {"query_pins": [{"pin_id": start_pin}], "limit": 500, "order": "visit_count"}
        answer = http.post("/v1/related_pins/recommendations", json=body).raise_for_status()
        return pin in {each["pin_id"] for each in answer.json()["pins"]}

    saved = time.perf_counter()
    http.post("/v1/pins", json={"pins": [{"pin_id": pin, "boards": boards}]}).raise_for_status()
    first = began = 0.0
    run = 0
    while run < WITH_IT:
        asked = time.perf_counter()
        if has_it():
            first = first or asked
            began = began if run else asked
            run += 1
        else:
            run = 0
    removed = time.perf_counter()
    http.post("/v1/pins/remove", json={"pins": [pin]}).raise_for_status()
    answered = time.perf_counter()
    still = sum(has_it() for _ in range(WITHOUT_IT))
    return first - saved, began - saved, answered - removed, still
