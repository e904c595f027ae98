"""The client for programs without an event loop: the other one (aio.py) in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from apps.api_client.aio import AsyncFunnelClient
from serving.http.api import Id, RecommendationResponse

T = TypeVar("T")


class FunnelClient:
    """`AsyncFunnelClient` whose methods return when they are done. For any number of threads; not across a fork."""

    def __init__(self, url: str, key: str | None = None, **options: Any) -> None:
        """Options as of `AsyncFunnelClient`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pinfunnel-client", daemon=True)
        self._thread.start()
        self._client = self._run(_made(url, key, options))

    def recommend(self, client: str, *, user_id: Id | None = None, **asked: Any) -> RecommendationResponse:
        """Pins for a user, or beside `query_pins`, best first. Raises ApiError."""
        return self._run(self._client.recommend(client, user_id=user_id, **asked))

    def event(self, user_id: Id, pin_id: Id, action: str, **told: Any) -> str:
        """Take an event to be sent; returns its id at once. Raises ServerAway when too many are unsent."""
        return self._run(self._client.event(user_id, pin_id, action, **told))

    @property
    def unsent(self) -> int:
        """Events that the server has not stored yet."""
        return self._client.unsent

    def flush(self, timeout: float = 30.0) -> None:
        """Wait until the server has stored every event. Raises the error of the last try after `timeout` seconds."""
        self._run(self._client.flush(timeout))

    def close(self, timeout: float = 30.0) -> None:
        """Send what is unsent, and close. Raises as `flush`."""
        if self._loop.is_closed():
            return
        try:
            self._run(self._client.close(timeout))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, asked: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()


async def _made(url: str, key: str | None, options: dict[str, Any]) -> AsyncFunnelClient:
    return AsyncFunnelClient(url, key, **options)
