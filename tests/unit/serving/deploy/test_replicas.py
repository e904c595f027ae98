"""Replicas as Serve makes them, in this process: what each of them reports, before a request and after one."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.project import Opened
from serving.deploy import instruments, replica
from serving.deploy.events_replica import EventsReplica
from serving.deploy.replicas import FullReplica, IngressReplica, LightweightReplica, SourceReplica
from tests.worlds.funnel import opened_world, some_user


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[tuple[str, ...], float]]:
    """What is reported, by metric and values of labels in the order of their names."""
    seen: dict[str, dict[tuple[str, ...], float]] = {}

    class Fake:
        def __init__(self, name: str, *_: Any):
            self.series = seen.setdefault(name, {})

        def add(self, value: float, tags: dict[str, str]) -> None:
            labels = tuple(tags[key] for key in sorted(tags))
            self.series[labels] = self.series.get(labels, 0.0) + value

        def set(self, value: float, tags: dict[str, str]) -> None:
            self.series[tuple(tags[key] for key in sorted(tags))] = value

        observe = add

    monkeypatch.setattr(replica, "join_serve_log", lambda: None)  # there is no Serve here to log
    monkeypatch.setattr(instruments, "CountedUp", Fake)
    monkeypatch.setattr(instruments.metrics, "Gauge", Fake)
    monkeypatch.setattr(instruments.metrics, "Histogram", Fake)
    return seen


class Writer:
    """A handle of the event log's writer."""

    def __init__(self, replica: EventsReplica):
        self.replica = replica

    def options(self, **_: Any) -> "Writer":
        return self

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.replica, name)

        class Remote:
            @staticmethod
            async def remote(*args: Any) -> Any:
                return call(*args)

        return Remote


async def asked(ingress: IngressReplica, opened: Opened) -> list[httpx.Response]:
    transport = httpx.ASGITransport(ingress.__serve_build_asgi_app__())
    async with httpx.AsyncClient(transport=transport, base_url="http://funnel", timeout=300) as http:
        url = "/v1/homefeed/recommendations"
        first = await http.post(url, json={"user_id": some_user(opened)})
        return [first, await http.get("/readyz"), await http.get("/healthz")]


def test_every_replica_reports_what_it_does_itself(tmp_path: Path, told: dict[str, Any]) -> None:
    opened = opened_world(tmp_path, deadline_ms=300_000)
    project, clients = opened.project, opened.clients
    stages = (
        lambda: SourceReplica(project, clients, "walk"),
        lambda: LightweightReplica(project, clients),
        lambda: FullReplica(project, clients),
    )
    for begin in stages:
        stage = begin()
        assert told["pinfunnel_bundle_timestamp_seconds"].pop(("graph",)) > 1.7e9
        stage.close()
    events = EventsReplica(project, clients)
    handle: Any = Writer(events)
    ingress = IngressReplica(project, clients, [handle])
    try:
        answer, ready, alive = asyncio.run(asked(ingress, opened))
        assert [answer.status_code, ready.status_code, alive.status_code] == [200, 200, 200], answer.text
        assert ready.json()["status"] == "ok", ready.text
        events._pulse.beat()
        ingress._pulse.beat()
        assert told["pinfunnel_log_waiting_rows"].keys() == {("events",), ("serving",)}
        assert told["pinfunnel_waiting_requests"][()] == 0
        assert told["pinfunnel_candidates_total"]["homefeed", "out", "answer"] == len(answer.json()["pins"])
        assert told["pinfunnel_fallbacks_total"]["homefeed", "late", "walk"] == 0
    finally:
        ingress.close()
        events.close()


def test_a_replica_loads_nothing_that_only_others_need() -> None:
    heavy = ["torch", "xgboost", "sklearn", "scipy.sparse", "httpx", "pyarrow.dataset", "ray.data", "ray.train"]
    code = f"import sys, serving.deploy.replicas; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
