"""What an endpoint stores before it answers: there in time, or a 503 that says to send it again."""

import asyncio
import threading

import pytest
from fastapi import HTTPException

from serving.http import storing
from serving.http.storing import stored


def test_it_returns_what_was_written() -> None:
    assert asyncio.run(stored(lambda a, b: a + b, 1, b=2)) == 3


def test_a_disk_that_refuses_and_one_that_hangs_are_a_503_to_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "SECONDS", 0.05)
    goes_on = threading.Event()

    def full() -> None:
        raise OSError(28, "No space left on device")

    async def told(write: object) -> HTTPException:
        try:
            with pytest.raises(HTTPException) as refusal:
                await stored(write)  # type: ignore[arg-type]
            return refusal.value
        finally:
            goes_on.set()

    for write in (full, goes_on.wait):
        goes_on.clear()
        error = asyncio.run(told(write))
        assert (error.status_code, error.headers) == (503, {"Retry-After": "1"})
        assert error.detail.startswith("not stored, send it again: ")


def test_what_is_no_fault_of_the_disk_is_not_taken_for_one() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(stored(lambda: 1 / 0))
