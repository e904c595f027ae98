"""API keys for tests, and the API's own document."""

from pathlib import Path
from typing import Any, cast

import yaml

from cluster.contract.api_keys import digest, new_key
from cluster.settings.access import AccessSettings
from cluster.settings.clients import Client
from cluster.settings.project import DataSettings, Project, Source
from serving.http.routes import Ingress

METHODS = ("get", "post", "put", "patch", "delete")


class KeyFiles:
    """A file of keys that a test writes as it goes."""

    def __init__(self, folder: Path):
        self.path = folder / "keys.yaml"
        self._entries: dict[str, dict[str, Any]] = {}
        self._write()

    @property
    def access(self) -> AccessSettings:
        """The settings that name it."""
        return AccessSettings(keys=str(self.path))

    def add(self, name: str, /, *scopes: str, **more: Any) -> str:
        """A new key; returns what callers send."""
        key = new_key()
        self._entries[name] = {"name": name, "sha256": digest(key.encode()), "scopes": list(scopes), **more}
        self._write()
        return key

    def remove(self, name: str) -> None:
        """Take a key back."""
        del self._entries[name]
        self._write()

    def _write(self) -> None:
        text = yaml.safe_dump({"keys": list(self._entries.values())})
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.path)  # as an editor does: never half a file


def document() -> dict[str, Any]:
    """The OpenAPI document; no part behind the endpoints is needed for it."""
    project = Project(data=DataSettings(edges=Source(path="none")))
    nothing = cast(Any, None)
    ingress = Ingress(project, {"homefeed": Client(name="homefeed")}, nothing, nothing, nothing, "", nothing)
    return ingress.app().openapi()


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every endpoint in the document."""
    paths = document()["paths"]
    return [(path, method, paths[path][method]) for path in paths for method in METHODS if method in paths[path]]
