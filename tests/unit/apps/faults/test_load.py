"""What the load notes of each request, against a server that answers as it is told."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from apps.faults.load import BATCH, Sent, SteadyLoad
from tests.unit.apps.faults.threaded import served


class EveryAnswerIsRight:
    def __init__(self) -> None:
        self.hidden: list[set[int]] = []
        self.questions: set[int | None] = set()

    def of(self, answer: Any, question: int | None, hidden: set[int], sent: float, done: float) -> tuple[str, int]:
        assert sent <= done
        self.questions.add(question)
        if question is None:
            self.hidden.append(hidden)
        return "", 0


class Scripted:
    """Refuses the first row of every batch of closeups, and fails every fifth recommendation."""

    def __init__(self) -> None:
        self.asked = 0
        self.rows: list[dict[str, Any]] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/homefeed/recommendations", self.recommend)
        app.router.add_post("/v1/events", self.events)
        return app

    async def recommend(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.asked % 5 == 0:
            return web.Response(status=503)
        return web.json_response({"degraded": "", "pins": [{"pin_id": 700 + self.asked, "score": 1.0}]})

    async def events(self, request: web.Request) -> web.Response:
        rows = (await request.json())["events"]
        self.rows += rows
        refused = [{"row": 0, "event_id": "", "reason": "old"}] if rows[0]["action"] == "closeup" else []
        return web.json_response({"accepted": len(rows) - len(refused), "refused": refused})


@pytest.fixture(scope="module")
def run() -> tuple[Scripted, EveryAnswerIsRight, list[Sent]]:
    scripted, judge = Scripted(), EveryAnswerIsRight()
    site: Any = SimpleNamespace(living=[1, 2], questions=[{"user_id": 9, "at": "then"}] * 4, pins=list(range(50)))
    with served(scripted.app()) as url:
        load = SteadyLoad(url, site, judge, rate=40.0)  # type: ignore[arg-type]
        load.start()
        until = time.monotonic() + 30
        while len(judge.hidden) < 5 and time.monotonic() < until:
            time.sleep(0.05)
        load.stop()
    return scripted, judge, load.sent


def test_every_request_has_an_end(run: tuple[Scripted, EveryAnswerIsRight, list[Sent]]) -> None:
    scripted, judge, sent = run
    answers = [each for each in sent if each.kind == "recommendations"]
    assert len(answers) == scripted.asked
    assert sum(each.status == "503" for each in answers) == scripted.asked // 5
    assert all(each.done >= each.due for each in sent)
    assert judge.questions == {None, 1, 2, 3}


def test_acknowledged_are_the_events_that_were_not_refused(
    run: tuple[Scripted, EveryAnswerIsRight, list[Sent]],
) -> None:
    scripted, _, sent = run
    closeups = [each for each in sent if each.kind == "events" and each.degraded]
    assert closeups
    assert all(len(each.events) == BATCH - 1 for each in closeups)
    sent_ids = {row["event_id"] for row in scripted.rows}
    assert {name for each in sent for name in each.events} < sent_ids


def test_what_was_hidden_is_remembered_of_its_user(run: tuple[Scripted, EveryAnswerIsRight, list[Sent]]) -> None:
    scripted, judge, _ = run
    hides = [row for row in scripted.rows if row["action"] == "hide"]
    assert {row["user_id"] for row in hides} == {1}
    assert judge.hidden[0] == set()
    assert judge.hidden[-1] <= {row["pin_id"] for row in hides}
    assert judge.hidden[-1]


def test_nobody_there_is_an_error_by_name() -> None:
    site: Any = SimpleNamespace(living=[1, 2], questions=[{"user_id": 9}], pins=[1])
    load = SteadyLoad("http://127.0.0.1:9", site, EveryAnswerIsRight(), rate=50.0)  # type: ignore[arg-type]
    load.start()
    until = time.monotonic() + 30
    while not any(each.done for each in load.sent) and time.monotonic() < until:
        time.sleep(0.02)
    load.stop()
    assert {each.status for each in load.sent} == {"no connection"}
