"""A stand-in for the server, as an httpx transport: answers from a given rule and records what a front end sent."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

Choose = Callable[[str, dict[str, Any]], list[Any]]


class FakeApi:
    """`choose(client, request body)` names the pins of an answer; `faults` are statuses given first."""

    def __init__(self, choose: Choose, faults: tuple[int, ...] = ()):
        self._choose, self._faults = choose, list(faults)
        self.log: list[tuple[str, Any]] = []  # ("ask", (request_id, body)) or ("events", list of events)
        self.keys: set[tuple[str, str | None]] = set()
        self.most_at_once = 0
        self._now: Counter[Any] = Counter()

    @property
    def transport(self) -> httpx.MockTransport:
        """Give this to `Simulator` or `FrontEnd`."""
        return httpx.MockTransport(self._handle)

    @property
    def asks(self) -> list[tuple[str, dict[str, Any]]]:
        """(request id, body) of every answered request, in order."""
        return [what for kind, what in self.log if kind == "ask"]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every delivered event, in order."""
        return [event for kind, what in self.log if kind == "events" for event in what]

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        if self._faults:
            return httpx.Response(self._faults.pop(0), text="try later")
        body = json.loads(request.content)
        self.keys.add((request.url.path, request.headers.get("x-api-key")))
        if request.url.path == "/v1/events":
            await asyncio.sleep(0)
            self.log.append(("events", body["events"]))
            return httpx.Response(200, json={"accepted": len(body["events"]), "refused": []})
        user = body.get("user_id")
        self._now[user] += 1
        self.most_at_once = max(self.most_at_once, sum(self._now.values()))
        assert self._now[user] == 1, "a user asked while another answer was under way"
        await asyncio.sleep(0)
        self._now[user] -= 1
        client = request.url.path.split("/")[2]
        name = f"request-{len(self.asks)}"
        self.log.append(("ask", (name, body)))
        pins = [{"pin_id": pin, "score": 0.0, "explanation": None} for pin in self._choose(client, body)]
        return httpx.Response(
            200,
            json={
                "request_id": name,
                "client": client,
                "pins": pins,
                "source": "walk",
                "versions": {"graph": "g1"},
                "stages": [],
                "milliseconds": 1.0,
            },
        )
