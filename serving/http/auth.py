"""Who may call what: an API key, its scopes, its clients and its rate. Knows nothing of requests' bodies and routes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import HTTPException

from cluster.errors import ConfigError
from cluster.settings.access import AccessSettings, Scope
from cluster.settings.clients import Client
from serving.http.keyring import HeldKey, Keyring

HEADER = "x-api-key"
CHALLENGE = {"WWW-Authenticate": 'ApiKey realm="pinfunnel"'}
"""RFC 9110 wants one with every 401."""


@dataclass(frozen=True)
class Caller:
    """Whom a call comes from; no `clients` means all."""

    clients: tuple[str, ...] | None = None

    def may_name(self, client: str) -> bool:
        """Whether the caller may speak of this client."""
        return self.clients is None or client in self.clients


ANYBODY = Caller()


class Authorizer:
    """Lets calls in. What that costs does not depend on how many keys there are."""

    def __init__(
        self,
        access: AccessSettings,
        clients: Mapping[str, Client],
        processes: int = 1,
        refused: Callable[[str], None] = lambda why: None,
    ):
        """A key's rate is shared by `processes`; `refused` is told `unknown`, `forbidden` or `limited`.

        Raises ConfigError for keys that cannot be read, and for a client that would be open without saying so.
        """
        self.keys = Keyring(access, clients, processes)
        self.open = not self.keys.configured
        """Whether no call needs a key."""
        self._open_clients = frozenset(client.name for client in clients.values() if client.open)
        self.keyless = self.open or bool(self._open_clients)
        """Whether some call needs none."""
        self._refused = refused
        if self.open or self.keys.has_file:
            return
        for client in clients.values():
            if client.api_key_env is None and not client.open:
                raise ConfigError(
                    f"client {client.name}: it has no key and other clients have: give it `api_key_env`, or write "
                    "`open: true` into its YAML to answer whoever asks"
                )

    def admit(self, scope: Scope, client: str | None, sent: bytes) -> Caller:
        """Whom a call comes from. Raises 401 without a key that counts, 429 where it calls too often, 403 beyond it.

        `client` is whose recommendations are asked for, if any.
        """
        if self.open or (scope == "recommend" and client in self._open_clients):
            return ANYBODY
        key = self.keys.find(sent)
        if key is None:
            raise self._no(401, "unknown", "send a key of this server that has not ended", CHALLENGE)
        self._check(key, scope)
        caller = Caller(key.clients)
        if client is not None and not caller.may_name(client):
            raise self._no(403, "forbidden", f"the key {key.name!r} is for the clients {list(key.clients or ())}")
        return caller

    def admit_again(self, scope: Scope, sha256: str) -> str:
        """The name of the key with this hash, which was admitted before. Raises as `admit` does."""
        key = self.keys.of_hash(sha256)
        if key is None:
            raise self._no(401, "unknown", "the key has ended", CHALLENGE)
        self._check(key, scope)
        return key.name

    def _check(self, key: HeldKey, scope: Scope) -> None:
        self._take_turn(key)
        if scope not in key.scopes:
            raise self._no(403, "forbidden", f"the key {key.name!r} does not have the scope '{scope}'")

    def shows_inside(self, sent: bytes) -> bool:
        """Whether the caller may read what goes on inside: an `admin`, or anybody where no key is needed."""
        if self.open:
            return True
        key = self.keys.find(sent)
        return key is not None and "admin" in key.scopes

    def _take_turn(self, key: HeldKey) -> None:
        wait = 0.0 if key.bucket is None else key.bucket.take()
        if wait:
            later = {"Retry-After": str(math.ceil(wait))}
            raise self._no(429, "limited", f"the key {key.name!r} is for fewer calls a second", later)

    def _no(self, status: int, why: str, detail: str, headers: dict[str, str] | None = None) -> HTTPException:
        self._refused(why)
        return HTTPException(status, f"{HEADER}: {detail}", headers)
