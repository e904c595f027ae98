"""What an API key is: 256 random bits behind a prefix, by which texts and scanners of repositories can tell it.

Only its SHA-256 is kept. For a password that would be too fast a hash; nobody guesses 256 random bits, however fast.
"""

import hashlib
import re
import secrets

PREFIX = "pfk_"
_LIKE_A_KEY = re.compile(PREFIX + r"[\w-]{8,}", re.ASCII)


def new_key() -> str:
    """A key that nobody has had before."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: bytes) -> str:
    """What is kept of a key: its SHA-256 in hexadecimal."""
    return hashlib.sha256(key).hexdigest()


def without_keys(text: str) -> str:
    """The text as it may be told or logged: of every key of ours, or a piece of one, only the prefix is left."""
    return _LIKE_A_KEY.sub(f"{PREFIX}...", text)
