"""Bundles: versioned, immutable folders, published by one pointer swap. Where they lie is a `Backend`'s business.

Layout: `<kind>/<version>/…`, `<kind>/<version>/manifest.json`, `<kind>/CURRENT`. A bundle is written aside,
checksummed, moved to its final name, and only then does CURRENT name it: a crash at any moment leaves the old version.
"""

import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.store.backend import Backend, Listed
from cluster.store.damage import opening
from cluster.store.disk import link_or_copy
from cluster.store.local import LocalFolder
from cluster.store.manifest import MANIFEST, Manifest, StoredFile, write_manifest
from cluster.store.objects import ObjectStore
from cluster.store.standing import Standings

POINTER = "CURRENT"
FIX = "publish another version"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,200}", re.ASCII)


@dataclass(frozen=True)
class Bundle:
    """An opened version: its files lie under `path` on the local disk."""

    kind: str
    version: str
    path: Path
    meta: Mapping[str, Any]

    def require_schema(self, features: FeatureSet) -> "Bundle":
        """Itself, or a BundleError when it was made for other features."""
        found = self.meta.get("schema_hash")
        if not features.accepts(found):
            raise BundleError(
                f"{self.kind} {self.version} was made for feature schema {found}, this process has "
                f"{features.schema_hash}: "
                "train it again with the present pinfunnel.yaml, or start with the one it was made with"
            )
        return self

    def require_ids(self, ids: str | None) -> "Bundle":
        """Itself, or a BundleError when it was made for ids of another type; None and bundles without a note fit."""
        found = self.meta.get("ids")
        if ids is not None and found is not None and found != ids:
            raise BundleError(
                f"{self.kind} {self.version} was made for {found} ids and pinfunnel.yaml says `ids: {ids}`: "
                f"make it again, or set `ids: {found}`"
            )
        return self


class BundleStore:
    """All bundles below one root: a local path, or the URI of an object store (`s3://bucket/prefix`)."""

    def __init__(self, root: str | Path, cache: str | Path | None = None, backend: Backend | None = None):
        """`cache`: where local copies of remote bundles go. `backend` keeps the files; by default what `root` means."""
        self.root = str(root)
        self._backend = backend or backend_of(self.root, cache)
        self.standings = Standings(self._backend, self.root)

    @contextmanager
    def write(self, kind: str, meta: Mapping[str, Any], publish: bool = True) -> Iterator[tuple[Path, str]]:
        """Yields (folder to fill, its version); on a clean exit the bundle is stored and, by default, published.

        Where the kind is held it is stored only. Nothing is left behind when the body raises.
        """
        publish = publish and self.standings.held(kind) is None
        version = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        aside = self._backend.new_folder()
        extra: dict[str, Any] = dict(meta)
        try:
            yield aside, version
            if (note := aside / ".meta.json").exists():  # what the body learned while it wrote
                extra |= json.loads(note.read_text())
                note.unlink()
            write_manifest(aside, kind, version, extra, publish)
            self._backend.put(aside, f"{kind}/{version}", MANIFEST)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        if publish:
            self.publish(kind, version)

    @contextmanager
    def rewrite(self, kind: str, version: str) -> Iterator[Path]:
        """Yields a folder with the files of a version, each to be replaced and none to be written in place.

        On a clean exit it is stored as the next version after that one, published if that one was, and that one is
        removed. Killed half way, the old version is there, or both are. Raises BundleError.
        """
        bundle = self.open(kind, version, verify=False)
        published = self._to_publish(f"{kind}/{version}")
        _, _, number = version.partition("~")
        others = set(self.versions(kind))
        name = next(n for i in range(int(number or 0) + 1, 10**6) if (n := f"{began(version)}~{i}") not in others)
        aside = self._backend.new_folder()
        try:
            for path in sorted(path for path in bundle.path.rglob("*") if path.is_file() and path.name != MANIFEST):
                target = aside / path.relative_to(bundle.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(path, target)
            yield aside
            write_manifest(aside, kind, name, bundle.meta, published)
            self._backend.put(aside, f"{kind}/{name}", MANIFEST)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self._backend.swap_pointer(f"{kind}/{POINTER}", version, name)  # unless somebody published another meanwhile
        self.remove(kind, version)

    def remove_remains(self, folder: str) -> bool:
        """Delete a folder that a killed process has left; whether it was that, and no version. Raises OSError."""
        if self._backend.has(f"{folder}/{MANIFEST}"):
            return False
        self._backend.remove(folder)
        return True

    def remove(self, kind: str, version: str) -> None:
        """Delete a version, its manifest first: what is left of it by a kill is no version. Raises OSError."""
        self._backend.remove(f"{kind}/{version}/{MANIFEST}")
        self._backend.remove(f"{kind}/{version}")

    def files(self) -> list[Listed]:
        """Every file below the root, those that belong to no version too. Raises OSError."""
        return self._backend.files()

    def publish(self, kind: str, version: str) -> None:
        """Make `version` current, at once: readers see the old version or the new one."""
        if not self._backend.has(f"{kind}/{version}/{MANIFEST}"):
            raise BundleError(f"{kind} {version} is not stored under {self.root}: nothing to publish")
        self._backend.write_pointer(f"{kind}/{POINTER}", version)

    def current(self, kind: str) -> str | None:
        """The published version, or None."""
        with opening(f"{kind}/{POINTER} under {self.root}", "publish a version again"):
            named = (self._backend.read_pointer(f"{kind}/{POINTER}") or "").strip()
            if named and not VERSION.fullmatch(named):
                raise ValueError("it names no version")
        return named or None

    def versions(self, kind: str) -> list[str]:
        """All stored versions, oldest first."""
        return sorted(
            name for name in self._backend.folders(kind, MANIFEST) if not name.startswith(".") and name != POINTER
        )

    def publishable(self, kind: str) -> list[str]:
        """Versions that were written to be published, newest first: what is left when the pointer is lost.

        Without those that were taken back. A version whose manifest cannot be read is among them, for `open` to say
        what is wrong with it.
        """
        taken_back = self.standings.taken_back(kind)
        able = [version for version in reversed(self.versions(kind)) if began(version) not in taken_back]
        return [version for version in able if self._to_publish(f"{kind}/{version}")]

    def manifest(self, kind: str, version: str) -> Manifest:
        """What a version says of itself; none of its other files is read. Raises BundleError."""
        with opening(f"{kind} {version}: manifest unreadable under {self.root}", FIX):
            text = self._backend.read_pointer(f"{kind}/{version}/{MANIFEST}")
            if text is None:
                raise BundleError(f"{kind} {version} is not stored under {self.root}")
            return Manifest.read(text)

    def _to_publish(self, folder: str) -> bool:
        try:
            text = self._backend.read_pointer(f"{folder}/{MANIFEST}")
            return text is None or Manifest.read(text).to_publish
        except Exception:
            return True

    def kinds(self) -> list[str]:
        """Every kind that has a published version."""
        pointers = (PurePosixPath(file.name) for file in self._backend.files())
        return sorted(str(pointer.parent) for pointer in pointers if pointer.name == POINTER)

    def open(self, kind: str, version: str | None = None, verify: bool = True) -> Bundle:
        """A stored version (default: the current one), with checksums compared unless `verify` is off.

        A damaged local copy is fetched again. Raises BundleError when there is none, or when a file is missing or
        damaged.
        """
        version = version or self.current(kind)
        if version is None:
            raise BundleError(f"no {kind} is published under {self.root}")
        folder = f"{kind}/{version}"
        try:
            path = self._backend.get(folder)
        except OSError:
            raise BundleError(f"{kind} {version} could not be read from {self.root}") from None
        with opening(f"{kind} {version}: manifest unreadable under {self.root}", FIX):
            manifest = self._manifest(path, folder)
        with opening(f"{kind} {version} under {self.root}", FIX):
            checks = (StoredFile.same_size, StoredFile.same_bytes) if verify else (StoredFile.same_size,)
            for check in checks:  # all sizes first: they tell of a late file before gigabytes are read
                for file in manifest.files:
                    again = f"{folder}/{file.name}"
                    if not check(file, path) and not (self._backend.fetch(again) and check(file, path)):
                        raise BundleError(f"{kind} {version}: {file.name} is missing or damaged; {FIX}")
        return Bundle(kind, version, path, manifest.meta)

    def _manifest(self, path: Path, folder: str) -> Manifest:
        try:
            return Manifest.read((path / MANIFEST).read_text(encoding="utf-8"))
        except Exception:
            if not self._backend.fetch(f"{folder}/{MANIFEST}"):
                raise
        return Manifest.read((path / MANIFEST).read_text(encoding="utf-8"))


def began(version: str) -> str:
    """A version as it was first written: without what says that it was rewritten (`~1`) or has fresh pins (`+3`)."""
    return version.partition("+")[0].partition("~")[0]


def begun_at(version: str) -> int:
    """When a version was begun, in microseconds, as its name says to the second; 0 for a name of another form."""
    try:
        return int(datetime.strptime(version[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:
        return 0


def backend_of(root: str, cache: str | Path | None = None) -> Backend:
    """The backend that a root means: a URI is an object store, everything else a local path."""
    return ObjectStore(root, cache) if "://" in root else LocalFolder(root)


def note_meta(folder: Path, **meta: Any) -> None:
    """Add facts to the manifest of the bundle being written into `folder`."""
    path = folder / ".meta.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | meta))
