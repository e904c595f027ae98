"""Requests refused before anything of them is read."""

import asyncio
import json
from typing import Any

import pytest

from serving.http.admission import Busy
from serving.http.early import EarlyRefusal

RANKED = "/v1/homefeed/recommendations"


def _call(path: str, method: str, busy: Busy | None) -> list[Any]:
    """What is sent, or `passed on`; reading the request is an error."""
    sent: list[Any] = []

    async def app(*_: Any) -> None:
        sent.append("passed on")

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    def check() -> None:
        if busy is not None:
            raise busy

    asyncio.run(EarlyRefusal(app, check)({"type": "http", "path": path, "method": method}, receive, send))
    return sent


def test_a_refusal_reads_nothing_and_says_when_to_come_back() -> None:
    start, body = _call(RANKED, "POST", Busy("too many requests at once; try again", 3))
    assert start["status"] == 429
    assert (b"retry-after", b"3") in start["headers"]
    assert json.loads(body["body"]) == {"detail": "too many requests at once; try again"}


@pytest.mark.parametrize(
    ("path", "method", "busy"),
    [
        (RANKED, "POST", None),
        (RANKED, "OPTIONS", Busy("full")),
        ("/v1/events", "POST", Busy("full")),
        ("/healthz", "GET", Busy("full")),
    ],
)
def test_all_else_is_passed_on(path: str, method: str, busy: Busy | None) -> None:
    assert _call(path, method, busy) == ["passed on"]
