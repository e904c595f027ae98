"""A modest constant load of recommendations and events, and what became of each: nothing waits for the ones before.

Three of four requests are fixed questions, whose answers are known. The others are of users who hide pins: one whose
`hide` was acknowledged may not be shown to them again. Events besides are of other users.
"""

import asyncio
import itertools
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from apps.faults.site import CLIENT, FaultSite
from apps.faults.verdict import Judge

PATIENCE = 35.0
"""Seconds after which a request is given up: Serve itself answers after 30."""
NO_STATUS = {
    "ClientConnectorError": "no connection",
    "ServerDisconnectedError": "cut off",
    "ClientOSError": "cut off",
    "TimeoutError": "no answer",
}
"""What became of a request without an answer, by the client's error."""
SAID = 200
"""Characters to keep of what came with an error."""
BATCH = 4
"""Events of one request."""


@dataclass
class Sent:
    """One request, and what became of it; moments are those of `time.monotonic`."""

    kind: str  # recommendations, events
    due: float
    done: float = 0.0
    status: str = ""  # HTTP's, or the error's name
    said: str = ""  # the beginning of what came with an error
    degraded: str = ""
    wrong: str = ""
    apart: int = 0  # generations between the versions of the answer
    events: tuple[str, ...] = ()  # ids of those that were acknowledged

    @property
    def normal(self) -> bool:
        """Whether it was answered as if nothing was the matter."""
        return self.status == "200" and not self.degraded and not self.wrong


@dataclass
class SteadyLoad:
    """Runs in a thread of its own, from `start` to `stop`."""

    url: str
    site: FaultSite
    judge: Judge
    rate: float  # recommendations a second, and as many requests with events
    fixed: bool = True  # whether questions say when they are asked, so that their answers are known
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._hidden: dict[int, set[int]] = defaultdict(set)
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait for what is under way."""
        self._stop.set()
        self._thread.join(PATIENCE + 5)

    async def _run(self) -> None:
        running: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            for at in itertools.count():
                await asyncio.sleep(max(due - time.monotonic(), 0.0))
                if self._stop.is_set():
                    break
                for make in (self._recommend, self._act):
                    task = asyncio.create_task(make(http, at, due))
                    running.add(task)
                    task.add_done_callback(running.discard)
                due += 1.0 / self.rate
            await asyncio.gather(*running)

    async def _recommend(self, http: aiohttp.ClientSession, at: int, due: float) -> None:
        living = at % 4 == 0
        hiding = self.site.living[::2]
        user = hiding[at // 4 % len(hiding)]
        question = at % len(self.site.questions)
        body = {"user_id": user} if living else dict(self.site.questions[question])
        if not self.fixed:
            body.pop("at", None)
        hidden = set(self._hidden[user]) if living else set()
        sent = Sent("recommendations", due)
        self.sent.append(sent)
        began = time.monotonic()
        answer = await self._call(sent, lambda: http.post(self._at(f"{CLIENT}/recommendations"), json=body))
        if sent.status != "200":
            return
        sent.degraded = answer["degraded"]
        known = question if self.fixed and not living else None
        sent.wrong, sent.apart = self.judge.of(answer, known, hidden, began, sent.done)
        if living and answer["pins"] and at % 8 == 0:
            await self._events(http, time.monotonic(), user, [answer["pins"][0]["pin_id"]], "hide")

    async def _act(self, http: aiohttp.ClientSession, at: int, due: float) -> None:
        pins = [self.site.pins[(at * BATCH + i) % len(self.site.pins)] for i in range(BATCH)]
        acting = self.site.living[1::2]
        await self._events(http, due, acting[at % len(acting)], pins, "closeup")

    async def _events(self, http: aiohttp.ClientSession, due: float, user: int, pins: list[int], action: str) -> None:
        ids = tuple(uuid.uuid4().hex for _ in pins)
        now = datetime.now(UTC).isoformat()
        rows = [
            {"event_id": name, "user_id": user, "pin_id": pin, "action": action, "occurred_at": now}
            for name, pin in zip(ids, pins, strict=True)
        ]
        sent = Sent("events", due)
        self.sent.append(sent)
        receipt = await self._call(sent, lambda: http.post(self._at("events"), json={"events": rows}))
        if sent.status != "200":
            return
        refused = {each["row"] for each in receipt["refused"]}
        sent.degraded = receipt["refused"][0]["reason"] if refused else ""
        sent.events = tuple(name for row, name in enumerate(ids) if row not in refused)
        if action == "hide":
            self._hidden[user].update(pin for row, pin in enumerate(pins) if row not in refused)

    def _at(self, path: str) -> str:
        return f"{self.url}/v1/{path}"

    async def _call(self, sent: Sent, call: Callable[[], Any]) -> Any:
        """The body of the answer; what became of the request is noted."""
        try:
            async with asyncio.timeout(PATIENCE), call() as response:
                body = await response.read()
                sent.status = str(response.status)
                if response.status == 200:
                    return await response.json()
                sent.said = body[:SAID].decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            sent.status = NO_STATUS.get(type(error).__name__, type(error).__name__)
            sent.said = str(error)[:SAID]
        finally:
            sent.done = time.monotonic()
        return None
