"""API keys: one a client, from the environment variable that its YAML names. A client that names none is open."""

import hmac
import os
from collections.abc import Mapping

from fastapi import HTTPException

from cluster.errors import ConfigError
from cluster.settings.clients import Client


class Keys:
    """The keys of all clients, read once. Comparisons take the same time whatever differs."""

    def __init__(self, clients: Mapping[str, Client]):
        """Raises ConfigError when a client names a variable that is not set: its door would be open and look closed."""
        self._keys: dict[str, str] = {}
        for client in clients.values():
            self._keys[client.name] = _key(client)

    def check(self, client: str, key: str) -> None:
        """Raises 401 when the client has a key and this is not it."""
        wanted = self._keys[client]
        if wanted and not _same(wanted, key):
            raise HTTPException(401, f"x-api-key: not the key of client '{client}'")

    def check_any(self, key: str) -> None:
        """Raises 401 when clients have keys and this is none of them."""
        keys = [wanted for wanted in self._keys.values() if wanted]
        if keys and not any(_same(wanted, key) for wanted in keys):
            raise HTTPException(401, "x-api-key: send the key of any client")


def _key(client: Client) -> str:
    if client.api_key_env is None:
        return ""
    key = os.environ.get(client.api_key_env, "")
    if not key:
        raise ConfigError(
            f"client {client.name}: api_key_env: the environment variable {client.api_key_env!r} is not set or empty: "
            "set it where the server starts, or take `api_key_env` out of the client's YAML to leave it open"
        )
    return key


def _same(wanted: str, key: str) -> bool:
    return hmac.compare_digest(wanted.encode(), key.encode())  # as bytes: text may only be ASCII
