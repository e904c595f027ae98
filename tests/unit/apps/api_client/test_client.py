"""The client against the real application in this process, and against servers that fail in every way there is."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.api_client.aio import AsyncFunnelClient
from apps.api_client.faults import ApiError, BadCall, NotAllowed, Retries, ServerAway, ServerBusy, error_of
from apps.api_client.sync import FunnelClient
from apps.world.in_process import URL, InProcess
from tests.worlds.funnel import opened_world, some_user

AT_ONCE = Retries(times=3, first=0.001, most=0.002)


def test_three_lines_recommend_and_store_an_event(tmp_path: Path) -> None:
    opened = opened_world(tmp_path)
    user = some_user(opened)
    with InProcess(opened) as inside:
        with FunnelClient(URL, transport=inside.transport) as funnel:
            answer = funnel.recommend("homefeed", user_id=user, limit=5, explain=True)
            told = funnel.event(user, answer.pins[0].pin_id, "save", request_id=answer.request_id, client="homefeed")
            funnel.flush()
            assert funnel.unsent == 0
            with pytest.raises(BadCall, match="no attribute 'nothing'"):
                funnel.recommend("homefeed", user_id=user, filter={"attribute": "nothing", "=": 1})
            with pytest.raises(BadCall, match=r"limit: .*500"):
                funnel.recommend("homefeed", user_id=user, limit=501)
            with pytest.raises(BadCall, match="unknown client"):
                funnel.recommend("nobody", user_id=user)
        inside.flush()
    assert len(answer.pins) == 5
    assert answer.pins[0].explanation is not None
    events = opened.new_process().logs.read_events()[0].to_pylist()
    assert [(e["event_id"], e["request_id"], e["action"]) for e in events] == [(told, answer.request_id, "save")]


Answer = tuple[int, dict[str, Any], dict[str, str]]
STORED = (200, {"accepted": 1}, {})


class Scripted(httpx.AsyncBaseTransport):
    """Answers with what it was given, one after another; an exception is raised. The last one goes on."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, dict[str, Any], dict[str, str]]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread())
        self.calls.append((request.url.path, body, dict(request.headers)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer[0], json=answer[1], headers=answer[2])

    @property
    def sent(self) -> Counter[str]:
        return Counter(event["event_id"] for _, body, _ in self.calls for event in body.get("events", ()))


def with_client(transport: Scripted, use: Callable[[AsyncFunnelClient], Any], **options: Any) -> Any:
    async def run() -> Any:
        client = AsyncFunnelClient("http://x", "pf_key", transport=transport, retries=AT_ONCE, **options)
        return await use(client)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        (503, {"detail": "not stored"}, {}),
        (429, {"detail": "busy"}, {"retry-after": "0"}),
        (502, {}, {}),
    ],
)
def test_events_are_sent_again_with_their_ids_until_they_are_stored(failure: Answer | Exception) -> None:
    server = Scripted(failure, failure, failure, failure, failure, STORED)

    async def use(client: AsyncFunnelClient) -> str:
        event_id = await client.event(1, 2, "save")
        await client.close()
        return event_id

    assert server.calls == []
    event_id = with_client(server, use)
    assert server.sent == {event_id: 6}, "more often than another call would be tried"
    assert server.calls[0][2]["x-api-key"] == "pf_key"


def test_many_events_go_together_and_in_order() -> None:
    server = Scripted((200, {"accepted": 100}, {}))

    async def use(client: AsyncFunnelClient) -> list[str]:
        ids = [await client.event(1, pin, "save") for pin in range(250)]
        await client.flush()
        return ids

    ids = with_client(server, use)
    assert [len(body["events"]) for _, body, _ in server.calls] == [100, 100, 50]
    assert [event["event_id"] for _, body, _ in server.calls for event in body["events"]] == ids


def test_a_refused_event_is_told_and_takes_no_other_along() -> None:
    told: list[tuple[int, str]] = []
    refusal = {"row": 1, "event_id": "b", "reason": "action: unknown"}
    server = Scripted((200, {"accepted": 2, "refused": [refusal]}, {}))

    async def use(client: AsyncFunnelClient) -> None:
        for pin in (7, 8, 9):
            await client.event(1, pin, "save")
        await client.close()

    with_client(server, use, on_refused=lambda event, why: told.append((event["pin_id"], why)))
    assert told == [(8, "action: unknown")]


def test_what_cannot_be_sent_is_kept_and_said() -> None:
    away = Scripted(httpx.ConnectError("refused"))

    async def use(client: AsyncFunnelClient) -> int:
        for pin in range(3):
            await client.event(1, pin, "save")
        while not away.calls:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        with pytest.raises(ServerAway, match=r"3 events wait.*ConnectError"):
            await client.event(1, 9, "save")
        with pytest.raises(ServerAway, match=r"3 events are not stored after 0.3 s.*ConnectError"):
            await client.flush(0.3)
        away.answers = [STORED]
        await client.flush()
        return client.unsent

    assert with_client(away, use, waiting=3) == 0

    async def refused(client: AsyncFunnelClient) -> int:
        await client.event(1, 2, "save")
        with pytest.raises(NotAllowed, match="no such key"):
            await client.flush()
        return client.unsent

    assert with_client(Scripted((401, {"detail": "no such key"}, {})), refused) == 1


def test_a_recommendation_is_tried_again_only_where_that_may_help() -> None:
    answer = {"request_id": "r", "client": "homefeed", "pins": [], "source": "walk", "versions": {}, "stages": []}
    good: Answer = (200, {**answer, "milliseconds": 1.0}, {})
    busy: Answer = (429, {"detail": "busy"}, {"retry-after": "0"})
    assert with_client(Scripted(busy, busy, good), lambda c: c.recommend("homefeed")).request_id == "r"
    server = Scripted(busy)
    with pytest.raises(ServerBusy, match="busy"):
        with_client(server, lambda c: c.recommend("homefeed"))
    assert len(server.calls) == 1 + AT_ONCE.times
    server = Scripted((422, {"detail": [{"loc": ["body", "user_id"], "msg": "too long", "type": "x"}]}, {}))
    with pytest.raises(BadCall, match="user_id: too long"):
        with_client(server, lambda c: c.recommend("homefeed"))
    assert len(server.calls) == 1


def test_the_body_holds_what_was_said_and_nothing_else() -> None:
    server = Scripted((422, {"detail": "enough"}, {}))
    with pytest.raises(BadCall):
        with_client(server, lambda c: c.recommend("ads", user_id=3, query_pins=[5], limit=2, deadline_ms=50))
    path, body, headers = server.calls[0]
    assert (path, headers["x-deadline-ms"]) == ("/v1/ads/recommendations", "50")
    assert body == {"user_id": 3, "query_pins": [{"pin_id": 5}], "limit": 2}


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (401, {"detail": "no key"}, NotAllowed, "no key"),
        (403, None, NotAllowed, "HTTP 403"),
        (429, {"detail": "busy"}, ServerBusy, "busy"),
        (500, ["odd"], ServerAway, "HTTP 500"),
        (404, {"detail": [{"msg": "x"}, 3]}, BadCall, "x"),
        (302, {"detail": 5}, BadCall, "HTTP 302"),
    ],
)
def test_every_status_is_an_error_of_one_kind(status: int, body: Any, kind: type[ApiError], text: str) -> None:
    error = error_of(status, body, {})
    assert (type(error), str(error), error.status) == (kind, text, status)


def test_waits_grow_and_heed_the_server() -> None:
    retries = Retries(times=5, first=1.0, most=4.0)
    waits = [retries.wait(tried, ServerAway("x")) for tried in range(1, 7)]
    assert waits[5] is None
    assert all(
        wait is not None and low <= wait <= 2 * low for wait, low in zip(waits[:5], (0.5, 1, 2, 2, 2), strict=True)
    )
    assert retries.wait(1, ServerBusy("x", 429, 9.0)) == 9.0
    assert retries.wait(1, BadCall("x", 422)) is None


def test_the_client_loads_nothing_heavy() -> None:
    heavy = ("ray", "torch", "numpy", "numba", "pyarrow", "typer")
    code = f"import sys, pinfunnel; pinfunnel.Funnel; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_event_that_cannot_be_sent_is_refused_at_once_and_holds_up_no_other() -> None:
    server = Scripted((200, {"accepted": 1}, {}))
    bad: list[dict[str, Any]] = [
        {"user_id": float("nan")},
        {"pin_id": None},
        {"action": "\ud800"},
        {"action": 3},
        {"event_id": "x" * 129},
        {"occurred_at": "soon"},
    ]

    async def use(client: AsyncFunnelClient) -> int:
        for change in bad:
            with pytest.raises(BadCall, match=next(iter(change))):
                await client.event(**{"user_id": 1, "pin_id": 2, "action": "save", **change})
        await client.event(1, 2, "save")
        await client.close()
        return client.unsent

    assert with_client(server, use) == 0
    assert sum(server.sent.values()) == 1
    for value in (float("nan"), "\ud800"):
        with pytest.raises(BadCall, match="filter"):
            with_client(server, lambda c, v=value: c.recommend("homefeed", filter={"attribute": "x", "=": v}))


def test_a_batch_that_is_refused_whole_is_sent_one_by_one() -> None:
    class Small(Scripted):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            body = json.loads(await request.aread())
            self.calls.append((request.url.path, body, {}))
            large = any(len(event["action"]) > 100 for event in body["events"])
            return httpx.Response(413, json={"detail": "too large"}) if large else httpx.Response(200, json=STORED[1])

    told: list[str] = []
    server = Small(STORED)

    async def use(client: AsyncFunnelClient) -> int:
        for action in ("save", "x" * 200, "click"):
            await client.event(1, 2, action)
        await client.close()
        return client.unsent

    assert with_client(server, use, on_refused=lambda event, why: told.append(f"{len(event['action'])}: {why}")) == 0
    assert told == ["200: too large"]
    assert [len(body["events"]) for _, body, _ in server.calls] == [3, 1, 1, 1]


def test_an_answer_that_is_none_is_an_error_and_loses_no_event() -> None:
    page: Answer = (200, {"html": "a proxy's page"}, {})
    with pytest.raises(ServerAway, match="something else than an answer"):
        with_client(Scripted(page), lambda c: c.recommend("homefeed"))
    server = Scripted(page, STORED)

    async def use(client: AsyncFunnelClient) -> int:
        await client.event(1, 2, "save")
        await client.close()
        return client.unsent

    assert with_client(server, use) == 0
    assert set(server.sent.values()) == {2}
