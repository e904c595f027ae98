"""What a call may end with instead of an answer, and whether trying again helps. Knows nothing of sockets."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ApiError(Exception):
    """The server gave no answer, and said why. `status`: HTTP's; 0 where nothing was heard."""

    again = False
    """Whether the same call may succeed later."""

    def __init__(self, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after  # seconds that the server asked to wait


class BadCall(ApiError):
    """Something in the call is wrong: the message names the field."""


class NotAllowed(ApiError):
    """The key is missing, unknown, or not for this."""


class ServerBusy(ApiError):
    """The server, or the key's share of it, has too much to do now."""

    again = True


class ServerAway(ApiError):
    """The server cannot be reached, is starting, or could not do it."""

    again = True


def error_of(status: int, body: Any, headers: Mapping[str, str]) -> ApiError:
    """The error that an answer other than 200 stands for; `body` is its JSON, or None."""
    detail = body.get("detail") if isinstance(body, Mapping) else None
    text = _text(detail) or f"HTTP {status}"
    wait = headers.get("retry-after", "")
    after = float(wait) if wait.isascii() and wait.isdecimal() else None
    if status in (401, 403):
        return NotAllowed(text, status)
    if status == 429:
        return ServerBusy(text, status, after)
    if status >= 500:
        return ServerAway(text, status, after)
    return BadCall(text, status)


def _text(detail: Any) -> str:
    """`user_id: ids of this project are int64; limit: …`"""
    if not isinstance(detail, list):
        return detail if isinstance(detail, str) else ""
    faults = [fault for fault in detail if isinstance(fault, Mapping)]
    told = [(".".join(str(part) for part in fault.get("loc", ())[1:]), fault.get("msg", "")) for fault in faults]
    return "; ".join(f"{where}: {what}" if where else str(what) for where, what in told)


@dataclass(frozen=True)
class Retries:
    """How often and how long after a failure a call is tried again; twice as long each time, and never all at once."""

    times: int = 3
    first: float = 0.2  # seconds
    most: float = 30.0  # seconds

    def wait(self, tried: int, error: ApiError) -> float | None:
        """Seconds until the next try behind `tried` of them; None: there is none."""
        if not error.again or tried > self.times:
            return None
        waited = min(self.most, self.first * 2 ** (tried - 1))
        return max(waited * random.uniform(0.5, 1.0), error.retry_after or 0.0)  # nosec B311: no secret
