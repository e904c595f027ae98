"""The keys that open the API: those of clients' environment variables, and those of a file that may change meanwhile.

A key is added, ended or taken back by an edit of the file: every server sees it within seconds, without a restart.
"""

import asyncio
import hmac
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from cluster.contract.api_keys import digest
from cluster.errors import ConfigError, in_short
from cluster.settings.access import AccessSettings, ApiKey, load_keys
from cluster.settings.clients import Client
from cluster.settings.parsing import near
from serving.http.buckets import Bucket

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the file is looked at, by calls that come anyway."""


class HeldKey:
    """A key with what is left of its rate; `processes` share that."""

    def __init__(self, key: ApiKey, processes: int):
        self.name = key.name
        self.sha256 = key.sha256
        self.scopes = frozenset[str](key.scopes)
        self.clients = key.clients
        self._ends = float("inf") if key.not_after is None else key.not_after.timestamp()
        self.bucket: Bucket | None = None
        if key.per_second is not None:
            burst = (key.burst or key.per_second) / processes
            self.bucket = Bucket(key.per_second / processes, max(burst, 1.0))

    @property
    def ended(self) -> bool:
        """Whether its time is over."""
        return time.time() >= self._ends


class Keyring:
    """Finds the key that was sent. For one event loop, which never waits for the file."""

    def __init__(self, access: AccessSettings, clients: Mapping[str, Client], processes: int = 1):
        """Raises ConfigError for a variable that is not set, and for a file that cannot be read."""
        self._own = [_of_variable(client, client.api_key_env) for client in clients.values() if client.api_key_env]
        self._path = access.keys
        self._clients = tuple(clients)
        self._processes = processes
        self._version = self._version_now()
        self._keys = self._read()
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._reading = False
        self.problem = ""
        """Why the file's present content does not hold; empty when it does."""

    @property
    def has_file(self) -> bool:
        """Whether there is a file of keys."""
        return self._path is not None

    @property
    def configured(self) -> bool:
        """Whether keys were asked for: then a file without any lets nobody in, rather than everybody."""
        return self.has_file or bool(self._own)

    def find(self, sent: bytes) -> HeldKey | None:
        """The key that was sent, if it is one that counts now.

        What is looked up is the hash of what was sent: how long that takes says nothing about the keys.
        """
        return self.of_hash(digest(sent))

    def of_hash(self, hashed: str) -> HeldKey | None:
        """The key with this hash, if it counts now."""
        self._look()
        found = self._keys.get(hashed)
        if found is None or not hmac.compare_digest(found.sha256, hashed) or found.ended:
            return None
        return found

    def _look(self) -> None:
        now = time.monotonic()
        if self._path is None or self._reading or now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        self._reading = True
        asyncio.get_running_loop().run_in_executor(None, self.read_again)

    def read_again(self) -> None:
        """Take what the file says now, if it has changed. What does not parse changes nothing, and is told."""
        try:
            version = self._version_now()
            if version != self._version:
                self._keys = self._read()
                self._version = version
            self.problem = ""
        except (ConfigError, OSError) as error:
            told = f"the keys of before still count: {in_short(error)}"
            if told != self.problem:
                log.warning(told)
            self.problem = told
        finally:
            self._reading = False

    def _version_now(self) -> tuple[int, int, int] | None:
        if self._path is None or not Path(self._path).exists():
            return None
        stat = Path(self._path).stat()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> dict[str, HeldKey]:
        of_file = () if self._path is None else load_keys(self._path)
        for key in of_file:
            for client in set(key.clients or ()) - set(self._clients):
                known = near(client, self._clients)
                raise ConfigError(f"{self._path}: key {key.name}: clients: unknown client {client!r}{known}")
        return {key.sha256: HeldKey(key, self._processes) for key in (*self._own, *of_file)}


def _of_variable(client: Client, variable: str) -> ApiKey:
    key = os.environ.get(variable, "")
    if not key:
        raise ConfigError(
            f"client {client.name}: api_key_env: the environment variable {variable!r} is not set or empty: set it "
            "where the server starts, or write `open: true` instead into the client's YAML to answer whoever asks"
        )
    return ApiKey(name=client.name, sha256=digest(key.encode()), scopes=("recommend", "events"), clients=(client.name,))
