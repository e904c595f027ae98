"""Threads of a source's own: one that hangs holds up its own threads, never those of other sources. No Ray, no HTTP."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 8
"""Calls of one source that run at once in a process; kernels use fewer than that, waiting for a network more."""


class SourceStuckError(Exception):
    """All threads of a source are still at work for requests that have given up on it."""


class Lane:
    """The threads of one source."""

    def __init__(self, name: str, threads: int = THREADS):
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"source-{name}")
        self._threads = threads
        self._given_up = 0
        self._lock = threading.Lock()

    async def call(self, work: Callable[[], T]) -> T:
        """`work` in a thread. Raises SourceStuckError at once where every thread is held by a call that is late."""
        if self._given_up >= self._threads:
            raise SourceStuckError(f"all {self._threads} threads are held by earlier requests")
        running = self._pool.submit(work)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            if not running.cancel():  # it has begun, and cannot be stopped
                with self._lock:
                    self._given_up += 1
                running.add_done_callback(self._back)
            raise

    def _back(self, _: object) -> None:
        with self._lock:
            self._given_up -= 1
