"""The manifest of a bundle: what it is, and every file with its size and checksum. Knows nothing of where bundles lie.

`seal` is the checksum of all the rest, so that a changed manifest is as sure to be found as a changed file. Manifests
from before there was one have none.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class StoredFile:
    """A file of a bundle, and what it must be."""

    name: str  # below the bundle's folder
    size: int  # bytes
    crc: int  # CRC-32 of its bytes

    def same_size(self, folder: Path) -> bool:
        """Whether it is there, as long as it was."""
        path = folder / self.name
        return path.is_file() and path.stat().st_size == self.size

    def same_bytes(self, folder: Path) -> bool:
        """Whether its checksum is what it was; reads all of it, 4 MB at a time."""
        return _crc(folder / self.name) == self.crc


@dataclass(frozen=True)
class Manifest:
    """What `write_manifest` wrote."""

    meta: Mapping[str, Any]
    files: tuple[StoredFile, ...]
    to_publish: bool  # written to be published; False: a gate refused it, or it is a replay's

    @classmethod
    def read(cls, text: str) -> "Manifest":
        """From the text of a manifest. Raises ValueError, or what a text of another shape raises."""
        facts = json.loads(text)
        seal = facts.pop("seal", None)
        if seal is not None and seal != _seal(facts):
            raise ValueError("its own checksum is another")
        for name in facts["files"]:  # a damaged one is fetched again: to nowhere but into the bundle
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{name!r} lies outside")
        files = tuple(StoredFile(name, one["bytes"], one["crc32"]) for name, one in facts["files"].items())
        return cls(dict(facts["meta"]), files, bool(facts.get("to_publish", True)))


def write_manifest(folder: Path, kind: str, version: str, meta: Mapping[str, Any], to_publish: bool) -> None:
    """Writes the manifest of all files in `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = {
        "kind": kind,
        "version": version,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "to_publish": to_publish,
        "meta": dict(meta),
        "files": {str(p.relative_to(folder)): {"bytes": p.stat().st_size, "crc32": _crc(p)} for p in files},
    }
    read_again = json.loads(json.dumps(facts))  # what a reader will have: names of numbers are texts then
    (folder / MANIFEST).write_text(json.dumps({**facts, "seal": _seal(read_again)}, indent=1))


def _seal(facts: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            value = zlib.crc32(block, value)
    return value
