"""What the logs call a user in place of the id: its HMAC-SHA-256 under a key that lies in no file.

An id of the project's own type, so that whatever reads the logs need not know: same user, same name, and nothing else
joins by it. Who has the logs can read no user out of them; who has the key as well can test ids that they guess.
"""

import hmac
import os
from pathlib import Path
from typing import Any, Literal

from cluster.contract.ids import IdContract
from cluster.errors import ConfigError
from cluster.store.disk import write_whole

LEAST_KEY = 32
"""Characters of a key, as `openssl rand -hex 32` has twice: ids are few enough to be tried under a guessed key."""
FILE = "pseudonyms"
"""Beside the logs: what the key makes of nobody, by which another key is told."""


class Pseudonyms:
    """Of a project. Without a key every user is called by the id."""

    def __init__(self, kind: Literal["int64", "string"], key: str = ""):
        self._contract = IdContract(kind)
        self._key = key.encode()

    @property
    def on(self) -> bool:
        """Whether the logs have other names than the ids."""
        return bool(self._key)

    def of(self, user: Any) -> Any:
        """What the logs call a user, of the id's own type; what is no id of the project stays as it is."""
        if not self._key or self._contract.fault(user):
            return user
        hashed = hmac.digest(self._key, str(user).encode(), "sha256")
        return hashed[:16].hex() if isinstance(user, str) else int.from_bytes(hashed[:8], "big", signed=True)

    def check_word(self) -> str:
        """Tells this key from another, and says nothing of it."""
        return hmac.digest(self._key, b"", "sha256").hex()  # no user has the empty id


def pseudonyms_of(kind: Literal["int64", "string"], key_env: str | None, logs: Path) -> Pseudonyms:
    """Those of a project by its settings, whose logs lie below `logs`.

    Raises ConfigError for a variable that is not set or too short, and where the logs were begun under another key or
    are begun under one and the settings name none: then nobody in them would be found again, not even to be forgotten.
    """
    begun = logs / FILE
    if key_env is None:
        if begun.exists():
            raise ConfigError(
                f"{begun}: these logs call users by pseudonyms: name the key's variable in `logs.pseudonym_key_env`, "
                "or begin new logs"
            )
        return Pseudonyms(kind)
    key = os.environ.get(key_env, "")
    if len(key) < LEAST_KEY:
        why = f"has fewer than {LEAST_KEY} characters" if key else "is not set or empty"
        raise ConfigError(
            f"logs.pseudonym_key_env: the environment variable {key_env!r} {why}: make a key by `openssl rand -hex "
            "32`, keep it, and set it wherever the project is served or its logs are written"
        )
    names = Pseudonyms(kind, key)
    if not begun.exists():
        write_whole(begun, names.check_word().encode())
    if begun.read_bytes().strip() != names.check_word().encode():
        raise ConfigError(
            f"logs.pseudonym_key_env: {key_env!r} holds another key than these logs were begun with ({begun}): set "
            "that one, or begin new logs"
        )
    return names
