"""Two replicas that answer: from the answer to a takedown on, no request of any of them gets what was taken down."""

import threading
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

BODY = {"query_pins": [{"pin_id": 3}, {"pin_id": 4}], "limit": 50}
AFTER = 60
"""Requests after the takedown: with two ingresses, that all go to one of them has a chance of 2^-59."""


class Load:
    """Asks without a pause, two at a time, each over connections of its own, and notes when and what it got."""

    def __init__(self, url: str):
        self._url = f"{url}/v1/related_pins/recommendations"
        self.seen: list[tuple[float, set[Any]]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]

    def ask(self) -> set[Any]:
        sent = time.perf_counter()
        answer = calls.post(self._url, json=BODY, timeout=30)
        pins = {pin["pin_id"] for pin in answer.json()["pins"]} if answer.status_code == 200 else set()
        self.seen.append((sent, pins))
        return pins

    def _run(self) -> None:
        while not self._stop.is_set():
            self.ask()

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def until(self, more: int) -> None:
        goal = len(self.seen) + more
        for _ in range(1200):
            if len(self.seen) >= goal:
                return
            time.sleep(0.05)
        raise AssertionError(f"{len(self.seen)} of {goal} answers")


@pytest.mark.usefixtures("ray_session")
def test_what_is_taken_down_is_gone_with_the_answer_that_says_so(tmp_path: Path) -> None:
    path = toy_project(
        tmp_path, settings={"serving": {"port": free_ports(1)[0], "deadline_ms": 10_000, "shape": "colocated"}}
    )
    opened = open_project(path)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)

    server = start(str(path), ingress_replicas=2)
    try:
        with Load(server.url) as load:
            load.until(10)
            gone = set(list(load.ask())[:10])
            assert gone
            sent = time.perf_counter()
            assert calls.post(f"{server.url}/v1/pins/remove", json={"pins": list(gone)}, timeout=30).status_code == 200
            acknowledged = time.perf_counter()
            load.until(AFTER)
        with_it = [at for at, pins in load.seen if pins & gone]
        after = [pins for at, pins in load.seen if at > acknowledged]
        last = 1e3 * (max(with_it) - sent)
        print(
            f"\ntaken down: acknowledged after {1e3 * (acknowledged - sent):.1f} ms; the last request with it "
            f"was sent {last:.1f} ms after the takedown; {len(after)} requests after the acknowledgement, 0 with it"
        )
        assert len(after) >= AFTER // 2
        assert not any(pins & gone for pins in after)
        assert any(after), "they are answered all the same"
        assert calls.post(f"{server.url}/v1/pins/restore", json={"pins": list(gone)}, timeout=30).status_code == 200
        assert load.ask() & gone
    finally:
        server.stop()
        serve.shutdown()
