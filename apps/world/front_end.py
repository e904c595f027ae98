"""The HTTP half of a front end: asks for recommendations, delivers events in batches, retries what may be retried.

Knows the API's paths and types, and nothing of who its users are.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from cluster.errors import PinfunnelError
from serving.http.api import Event, EventBatch, EventReceipt, RecommendationRequest, RecommendationResponse

RETRY_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class FrontEndError(PinfunnelError):
    """The server refused a request, or did not answer it after every retry."""


class FrontEnd:
    """One front end's connection pool. Use as an async context manager; leaving it delivers what is still buffered."""

    def __init__(
        self,
        url: str,
        keys: Mapping[str, str] | None = None,
        *,
        batch_events: int = 100,
        retries: int = 5,
        timeout_seconds: float = 60.0,
        first_pause_seconds: float = 0.2,
        transport: httpx.AsyncBaseTransport | None = None,
    ):
        """`keys`: api key by client, sent as `x-api-key`. `transport` replaces the network in tests."""
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout_seconds, transport=transport)
        self._keys = dict(keys or {})
        self._batch_events = batch_events
        self._retries = retries
        self._first_pause = first_pause_seconds
        self._waiting: dict[str, list[Event]] = defaultdict(list)
        self._sending: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.delivered = 0
        self.retried = 0

    async def __aenter__(self) -> "FrontEnd":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.deliver()
        finally:
            await self._http.aclose()

    async def ask(self, client: str, request: RecommendationRequest) -> RecommendationResponse:
        """One answer for one client. Raises FrontEndError with the server's reason."""
        body = request.model_dump(mode="json", exclude_none=True)
        return RecommendationResponse.model_validate(
            await self._post(f"/v1/{client}/recommendations", body, self._keys.get(client))
        )

    async def tell(self, client: str, events: list[Event]) -> None:
        """Buffer events; a full buffer is delivered before this returns."""
        self._waiting[client].extend(events)
        if len(self._waiting[client]) >= self._batch_events:
            await self._deliver(client)

    async def deliver(self) -> None:
        """Deliver every buffered event; returns when the server has acknowledged all."""
        for client in list(self._waiting):
            await self._deliver(client)

    async def _deliver(self, client: str) -> None:
        async with self._sending[client]:  # whoever waits here finds the events of others acknowledged too
            while batch := self._waiting[client][:1000]:
                body = EventBatch(events=batch).model_dump(mode="json", exclude_none=True)
                receipt = EventReceipt.model_validate(await self._post("/v1/events", body, self._keys.get(client)))
                if receipt.refused:
                    raise FrontEndError(
                        f"the server refused {len(receipt.refused)} events, first: {receipt.refused[0]}"
                    )
                del self._waiting[client][: len(batch)]
                self.delivered += len(batch)

    async def _post(self, path: str, body: dict[str, Any], key: str | None) -> Any:
        headers = {"x-api-key": key} if key else {}
        trouble = ""
        for attempt in range(self._retries + 1):
            if attempt:
                self.retried += 1
                await asyncio.sleep(self._first_pause * 2 ** (attempt - 1))
            try:
                answer = await self._http.post(path, json=body, headers=headers)
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__} {error}".strip()
                continue
            if answer.status_code < 400:
                return answer.json()
            trouble = f"HTTP {answer.status_code}: {answer.text[:300]}"
            if answer.status_code not in RETRY_STATUS:
                break
        raise FrontEndError(f"POST {self._http.base_url}{path.lstrip('/')} failed: {trouble}")
