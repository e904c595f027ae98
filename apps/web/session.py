"""A session of the console: a signed text in a cookie, which any replica can read. Nobody keeps a list of them.

It names a key by its hash and says until when. The key itself is not in it, and a key that ends or is taken back ends
its sessions with it.
"""

import hashlib
import hmac
import time
from collections.abc import Callable

COOKIE = "pinfunnel_console"
SECONDS = 8 * 3600
"""A working day."""


class Sessions:
    """Makes and reads them."""

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time):
        self._secret = secret
        self._clock = clock

    def made(self, key: str) -> str:
        """A session of the key with this hash, from now on."""
        told = f"{key}.{int(self._clock()) + SECONDS}"
        return f"{told}.{self._sign(told)}"

    def key_of(self, cookie: str) -> str | None:
        """The hash of the key whose session this is; None for what we have not signed, and for what has ended."""
        told, _, signed = cookie.rpartition(".")
        key, _, until = told.partition(".")
        if not hmac.compare_digest(signed.encode(), self._sign(told).encode()) or not until.isdigit():
            return None
        return key if int(until) > self._clock() else None

    def _sign(self, told: str) -> str:
        return hmac.new(self._secret, told.encode(), hashlib.sha256).hexdigest()
