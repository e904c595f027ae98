"""The client for programs with an event loop. The other one (sync.py) runs this one in a thread."""

import asyncio
import json
import logging
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from apps.api_client.faults import ApiError, BadCall, Retries, ServerAway, error_of
from serving.http.api import Event, EventReceipt, Id, RecommendationRequest, RecommendationResponse, Refusal

log = logging.getLogger(__name__)

Read = TypeVar("Read", bound=BaseModel)

BATCH = 100
"""Events of one call."""
LINGER = 0.2
"""Seconds that an event waits for others to go with."""


class AsyncFunnelClient:
    """Calls the HTTP API of a funnel. For one event loop; closed, it has sent every event or says which are left.

    Events are sent behind the caller's back, some together, and again with the same `event_id` until the server has
    them on its disk, which stores each once. `flush` waits for that.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 5.0,
        retries: Retries | None = None,
        waiting: int = 10_000,
        on_refused: Callable[[dict[str, Any], str], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`waiting` events at most are unsent at a time. `on_refused` is told each event that the server does not
        take, and why; by default a warning is logged. `timeout` in seconds, of one try.
        """
        headers = {} if key is None else {"x-api-key": key}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, transport=transport)
        self._retries = retries or Retries()
        self._most = waiting
        self._on_refused = on_refused or _warn
        self._waiting: deque[dict[str, Any]] = deque()
        self._failed: ApiError | None = None  # why the newest try to send events ended
        self._sending: asyncio.Task[None] | None = None

    async def recommend(
        self,
        client: str,
        *,
        user_id: Id | None = None,
        query_pins: Sequence[Id] = (),
        filter: dict[str, Any] | None = None,
        exclude: Sequence[Id] = (),
        locale: str | None = None,
        limit: int | None = None,
        explain: bool = False,
        personalization: bool = True,
        order: Literal["ranked", "visit_count"] = "ranked",
        experiment: str = "",
        deadline_ms: float | None = None,
    ) -> RecommendationResponse:
        """Pins for a user, or beside `query_pins`, best first. Raises ApiError, of the kind that says what to do."""
        asked = {
            "user_id": user_id,
            "query_pins": [{"pin_id": pin} for pin in query_pins],
            "filter": filter,
            "exclude": list(exclude),
            "locale": locale,
            "limit": limit,
            "explain": explain,
            "personalization": personalization,
            "order": order,
            "experiment": experiment,
        }
        body = _checked(RecommendationRequest, asked).model_dump(exclude_defaults=True)
        headers = {} if deadline_ms is None else {"x-deadline-ms": f"{deadline_ms:g}"}
        path = f"/v1/{client}/recommendations"
        return await self._post(path, body, RecommendationResponse, self._retries, headers)

    async def event(
        self,
        user_id: Id,
        pin_id: Id,
        action: str,
        *,
        request_id: str | None = None,
        client: str | None = None,
        occurred_at: datetime | None = None,
        event_id: str | None = None,
    ) -> str:
        """Take an event to be sent; returns its id at once. Send along the `request_id` of the answer it belongs to.

        Raises BadCall for what cannot be an event, and ServerAway when `waiting` events are unsent: the server has not
        taken any for long.
        """
        if len(self._waiting) >= self._most:
            raise ServerAway(f"{len(self._waiting):,} events wait to be sent ({self._failed or 'the server is slow'})")
        told = {
            "event_id": event_id or uuid.uuid4().hex,
            "user_id": user_id,
            "pin_id": pin_id,
            "action": action,
            "client": client,
            "request_id": request_id,
            "occurred_at": occurred_at or datetime.now(UTC),
        }
        event = _checked(Event, told).model_dump(mode="json", exclude_none=True)
        self._waiting.append(event)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_events())
        return str(event["event_id"])

    @property
    def unsent(self) -> int:
        """Events that the server has not stored yet."""
        return len(self._waiting)

    async def flush(self, timeout: float = 30.0) -> None:
        """Wait until the server has stored every event. Raises the error of the last try after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while self._waiting:
                    if self._sending is None or self._sending.done():
                        self._sending = asyncio.create_task(self._send_events())
                    await asyncio.wait([self._sending])
                    if self._failed is not None and not self._failed.again:
                        raise self._failed
        except TimeoutError:
            why = self._failed or "the server is slow"
            raise ServerAway(f"{len(self._waiting):,} events are not stored after {timeout:g} s: {why}") from None

    async def close(self, timeout: float = 30.0) -> None:
        """Send what is unsent, and close. Raises as `flush`."""
        try:
            await self.flush(timeout)
        finally:
            if self._sending is not None:
                self._sending.cancel()
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send_events(self) -> None:
        """Until none is left, or the server refuses the caller. Events of a batch that is refused whole go alone."""
        endless = replace(self._retries, times=10**9)
        alone = 0
        while self._waiting:
            if len(self._waiting) < BATCH and not alone:
                await asyncio.sleep(LINGER)
            batch = [self._waiting[at] for at in range(1 if alone else min(BATCH, len(self._waiting)))]
            try:
                receipt = await self._post("/v1/events", {"events": batch}, EventReceipt, endless, {})
            except BadCall as error:
                if len(batch) > 1:
                    alone = len(batch)
                    continue
                receipt = EventReceipt(accepted=0, refused=[Refusal(row=0, event_id="", reason=str(error))])
            except ApiError as error:
                self._failed = error
                return
            self._failed = None
            alone = max(alone - 1, 0)
            for _ in batch:
                self._waiting.popleft()
            for refusal in receipt.refused:
                self._tell(batch, refusal)

    def _tell(self, batch: list[dict[str, Any]], refusal: Refusal) -> None:
        try:
            self._on_refused(batch[refusal.row], refusal.reason)
        except Exception:
            log.exception("on_refused failed")

    async def _post(
        self, path: str, body: dict[str, Any], kind: type[Read], retries: Retries, headers: dict[str, str]
    ) -> Read:
        tried = 0
        while True:
            tried += 1
            try:
                response = await self._http.post(path, json=body, headers=headers)
                if response.status_code == 200:
                    return kind.model_validate_json(response.content)
                error = error_of(response.status_code, _json(response), response.headers)
            except ValidationError:  # of some proxy, say
                error = ServerAway(f"{self._http.base_url}: answered {path} with something else than an answer", 200)
            except httpx.TransportError as fault:
                error = ServerAway(f"{self._http.base_url}: {type(fault).__name__} {fault}".rstrip())
            if path == "/v1/events":
                self._failed = error
            if (wait := retries.wait(tried, error)) is None:
                raise error
            await asyncio.sleep(wait)


def _checked(kind: type[Read], told: dict[str, Any]) -> Read:
    """By the types of the API, and as JSON can hold it, before anything is sent. Raises BadCall."""
    try:
        read = kind.model_validate(told)
    except ValidationError as error:
        faults = (f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
        raise BadCall("; ".join(faults), 422) from None
    for name, value in read.model_dump().items():
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False, default=str).encode()
        except ValueError:
            raise BadCall(f"{name}: JSON has no NaN, no infinity, and no text that is not Unicode", 422) from None
    return read


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _warn(event: dict[str, Any], reason: str) -> None:
    log.warning("event %s was refused: %s", event["event_id"], reason)
