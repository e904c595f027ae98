"""The load keeps its rate whatever the server does, and counts how late an answer is from when it was to be asked."""

import asyncio
import time

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from apps.bench.serving.load import LoadOutcome, send


async def sent_to(handler: Handler, rate: float, seconds: float) -> LoadOutcome:
    app = web.Application()
    app.router.add_post("/v1/homefeed/recommendations", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        return await send(f"http://127.0.0.1:{port}", "homefeed", rate, seconds, 100, 0)
    finally:
        await runner.cleanup()


def test_every_answer_is_counted_as_what_it_is() -> None:
    calls = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        assert 0 <= (await request.json())["user_id"] < 100
        if calls % 4 == 0:
            return web.json_response({"detail": "busy"}, status=429)
        if calls % 4 == 1:
            return web.Response(body=b'{"degraded":"walk: late"}')
        if calls % 4 == 2:
            return web.Response(status=503)
        return web.Response(body=b'{"degraded":""}')

    found = asyncio.run(sent_to(handler, 100.0, 0.4))
    assert (found.answered, found.degraded, found.refused, found.failed) == (20, 10, 10, {"503": 10})
    assert not found.whole


def test_a_server_that_stalls_cannot_hide_how_late_the_next_ones_are() -> None:
    stalled = False

    async def handler(_: web.Request) -> web.Response:
        nonlocal stalled
        if not stalled:
            stalled = True
            time.sleep(0.8)  # the whole server, so that requests wait to be accepted
        return web.Response(body=b'{"degraded":""}')

    found = asyncio.run(sent_to(handler, 50.0, 1.0))
    assert found.answered == 50
    assert found.most_ms >= 800
    assert found.p50_ms > 100, "most of the requests were to leave while the server stood still"


@pytest.mark.parametrize("rate", [40.0])
def test_all_that_was_to_be_sent_is_sent(rate: float) -> None:
    seen: list[float] = []

    async def handler(_: web.Request) -> web.Response:
        seen.append(time.perf_counter())
        await asyncio.sleep(0.2)  # slower than the rate: the load does not wait for it
        return web.Response(body=b'{"degraded":""}')

    found = asyncio.run(sent_to(handler, rate, 0.5))
    assert found.whole
    assert len(seen) == found.answered == 20
