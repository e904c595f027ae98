"""How the arms of a request differ from its client's file: small, so that it travels with the request to every stage.

Whoever computes a stage needs to know nothing of experiments: the request says what is to be different
(docs/adr/0017-an-arm-travels-with-its-request.md).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from cluster.experiments.overrides import changed_client
from cluster.settings.clients import Client


@dataclass(frozen=True)
class ArmSettings:
    """Other settings and pinned models of one client."""

    key: str  # the same for the same difference, in every process
    client: str
    name: str  # of the arms, as `experiment/arm`, for messages
    changes: str  # JSON: value by path
    versions: tuple[tuple[str, str], ...]  # stored version by kind of bundle

    @classmethod
    def of(
        cls, client: str, name: str, changes: Mapping[str, JsonValue], versions: Mapping[str, str]
    ) -> "ArmSettings | None":
        """None where nothing is different."""
        if not changes and not versions:
            return None
        told = json.dumps(changes, sort_keys=True, separators=(",", ":"))
        pinned = tuple(sorted(versions.items()))
        key = hashlib.blake2b(json.dumps([client, told, pinned]).encode(), digest_size=12).hexdigest()
        return cls(key, client, name, told, pinned)

    def version(self, kind: str) -> str | None:
        """The stored version that it pins of a kind; None: the published one."""
        return next((version for pinned, version in self.versions if pinned == kind), None)

    def applied_to(self, client: Client) -> Client:
        """The client with these settings. Raises ConfigError where they do not fit it."""
        return changed_client(client, json.loads(self.changes), self.name)
