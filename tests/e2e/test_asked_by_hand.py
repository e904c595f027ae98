"""What is asked for by hand holds in every process that answers: what was taken down, and who was forgotten.

Two replicas that answer, in one server for both.
"""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ray import serve

from apps.project import Opened, open_project
from apps.serve import Server, start
from cluster.catalog.build import build_catalog
from cluster.control.search import search
from cluster.ports import free_ports
from serving.deploy.forget import forget_users
from tests.worlds import calls
from tests.worlds.toy import toy_project

BODY = {"query_pins": [{"pin_id": 3}, {"pin_id": 4}], "limit": 50}
AFTER = 60
"""Requests after the takedown: with two ingresses, that all go to one of them has a chance of 2^-59."""
FLUSHES = 20
"""Each goes to one of the two ingresses."""
USER = 7_310_055_512_345_678
OTHER = 7_310_055_512_345_679


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Iterator[tuple[Opened, Server]]:
    serving = {"port": free_ports(1)[0], "deadline_ms": 10_000, "shape": "colocated"}
    path = toy_project(tmp_path_factory.mktemp("by-hand"), settings={"serving": serving})
    opened = open_project(path)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    server = start(str(path), ingress_replicas=2)
    yield opened, server
    server.stop()
    serve.shutdown()


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


def event(name: str, user: int, pin: int) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"event_id": f"{name} {user}", "user_id": user, "pin_id": pin, "action": "save", "occurred_at": now}


def test_what_is_taken_down_is_gone_with_the_answer_that_says_so(served: tuple[Opened, Server]) -> None:
    server = served[1]
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


def test_a_running_server_lets_go_of_a_user(served: tuple[Opened, Server]) -> None:
    """Unknown with the order, and in no byte on disk when the command returns."""
    opened, server = served
    home = Path(opened.project.home)
    ask = f"{server.url}/v1/homefeed/recommendations"
    pins = [pin["pin_id"] for pin in calls.post(ask, json={}, timeout=60).json()["pins"]][:5]
    events = [event(f"e{pin}", user, pin) for user in (USER, OTHER) for pin in pins]
    assert calls.post(f"{server.url}/v1/events", json={"events": events}, timeout=60).json()["accepted"] == 10

    def source(user: int) -> str:
        return str(calls.post(ask, json={"user_id": user}, timeout=60).json()["source"])

    assert (source(USER), source(OTHER)) == ("walk", "walk")
    assert list(search([home], USER))
    forget_users(opened.new_process(), [USER])
    assert list(search([home], USER)) == []
    assert list(search([home], OTHER))
    for _ in range(FLUSHES):
        assert calls.post(f"{server.url}/v1/logs/flush", timeout=60).status_code == 200  # rows that waited in memory
    assert list(search([home], USER)) == []
    assert (source(USER), source(OTHER)) == ("popular", "walk")
    server.stop()
    assert [line for line in search([home], OTHER) if "/serving/" in line]
