"""More requests than can be answered: the excess is refused at once and costs nothing; deadlines of senders."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from apps.world.in_process import LocalEvents
from serving.deploy.process import Process
from serving.funnel.stages import InPlaceStages
from serving.http.routes import Ingress
from serving.request.found import FoundPins
from serving.request.served import ServedBundles
from tests.worlds.funnel import opened_world, some_user

SECONDS = 0.1
URL = "/v1/homefeed/recommendations"


class Slow(InPlaceStages):
    """Counts walks, each of which takes its time."""

    walks = 0

    async def generate(self, *args: Any) -> FoundPins:
        """What the walk finds, later."""
        self.walks += 1
        await asyncio.sleep(SECONDS)
        return await super().generate(*args)


class Site:
    """The endpoints of a server that answers one request at a time."""

    def __init__(self, folder: Path):
        world = opened_world(folder, deadline_ms=20_000.0, queue_ms=150.0)
        self.process = process = Process(world.project, world.clients)
        process.watcher().poll()
        self.user = some_user(world)
        self.stages = Slow(process.sources, process.lightweight, process.full)
        self.log, self.events = process.serving_log(), process.event_log()

        async def served() -> ServedBundles:
            return ServedBundles()

        ingress = Ingress(
            process.project,
            process.clients,
            process.served_funnel(self.stages),
            LocalEvents(self.events),
            self.log,
            process.features.schema_hash,
            served,
            slots=1,
        )
        self.app: FastAPI = ingress.app()

    def ask(self, times: int, **headers: str) -> list[httpx.Response]:
        """So many requests at once."""

        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://funnel", headers=headers) as http:
                return await asyncio.gather(*(http.post(URL, json={"user_id": self.user}) for _ in range(times)))

        return asyncio.run(run())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("world"))
    for _ in range(30):  # it learns how long a request takes
        assert made.ask(1)[0].status_code == 200
    yield made
    made.log.close()
    made.events.close()


def test_the_excess_is_refused_and_walks_for_nobody(site: Site) -> None:
    site.stages.walks = 0
    answers = site.ask(20)
    refused = [a for a in answers if a.status_code == 429]
    answered = [a for a in answers if a.status_code == 200]
    assert len(refused) + len(answered) == 20
    assert 2 <= len(answered) <= 5, "one is answered, and those wait that need no more than 150 ms for their turn"
    assert site.stages.walks == len(answered)
    for answer in refused:
        assert int(answer.headers["retry-after"]) >= 1
        assert "try again" in answer.json()["detail"]
    assert all(not a.json()["degraded"] for a in answered)
    assert site.ask(1)[0].status_code == 200, "and then all is as before"


def test_a_refusal_does_not_look_into_the_body(site: Site) -> None:
    async def run() -> list[int]:
        transport = httpx.ASGITransport(site.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://funnel") as http:
            asked = [http.post(URL, json={"user_id": site.user}) for _ in range(15)]
            broken = [http.post(URL, content=b"{", headers={"content-type": "application/json"}) for _ in range(5)]
            return [answer.status_code for answer in await asyncio.gather(*asked, *broken)]

    assert set(asyncio.run(run())[15:]) == {429}


def test_a_sender_may_be_in_a_hurry(site: Site) -> None:
    (answer,) = site.ask(1, **{"x-deadline-ms": "40"})
    assert answer.status_code == 200
    assert "walk: not done within" in answer.json()["degraded"]
    assert answer.json()["pins"], "popular ones"


def test_and_no_more_patient_than_the_project(site: Site) -> None:
    (answer,) = site.ask(1, **{"x-deadline-ms": "1e9"})
    assert answer.json()["degraded"] == ""


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan"])
def test_a_deadline_is_a_number_above_0(site: Site, value: str) -> None:
    (answer,) = site.ask(1, **{"x-deadline-ms": value})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["header", "x-deadline-ms"]
