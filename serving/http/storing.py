"""Orders that an endpoint has stored before it answers: within a time, or an answer that says to send them again."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fastapi import HTTPException

from cluster.errors import in_short

P = ParamSpec("P")
T = TypeVar("T")

SECONDS = 5.0
"""A disk that hangs has so long."""


async def stored(write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `write` returns, which is called in a thread. Raises the 503 for a disk that refuses, or is too slow.

    What is late may be stored all the same; to send it again does no harm.
    """
    try:
        return await asyncio.wait_for(asyncio.to_thread(write, *args, **kwargs), SECONDS)
    except OSError as error:  # TimeoutError is one
        raise HTTPException(503, f"not stored, send it again: {in_short(error)}", {"Retry-After": "1"}) from error
