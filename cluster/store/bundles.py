"""Bundles: versioned, immutable folders, published by one pointer swap. Local disk, or S3 through pyarrow.fs.

Layout: `<kind>/<version>/…`, `<kind>/<version>/manifest.json`, `<kind>/CURRENT`. A bundle is written aside,
checksummed, moved to its final name, and only then does CURRENT name it: a crash at any moment leaves the old version.
"""

import json
import os
import shutil
import tempfile
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyarrow import fs as pafs

from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.store.disk import fsync

POINTER = "CURRENT"
MANIFEST = "manifest.json"


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
    """All bundles below one root: a local path or a URI that pyarrow.fs knows (`s3://bucket/prefix`)."""

    def __init__(self, root: str | Path, cache: str | Path | None = None):
        self.root = str(root)
        self.remote = "://" in self.root
        if self.remote:
            self._fs, self._base = pafs.FileSystem.from_uri(self.root)
            self._cache = Path(cache or Path(tempfile.gettempdir()) / "pinfunnel-bundles")
        else:
            self._fs = pafs.LocalFileSystem()
            self._base = str(Path(self.root).absolute())

    @contextmanager
    def write(self, kind: str, meta: Mapping[str, Any], publish: bool = True) -> Iterator[tuple[Path, str]]:
        """Yields (folder to fill, its version); on a clean exit the bundle is stored and, by default, published.

        Nothing is left behind, and nothing is published, when the body raises.
        """
        version = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        home = self._cache if self.remote else Path(self._base)
        home.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=home))
        extra: dict[str, Any] = dict(meta)
        try:
            yield aside, version
            if (note := aside / ".meta.json").exists():  # what the body learned while it wrote
                extra |= json.loads(note.read_text())
                note.unlink()
            self._store(aside, kind, version, extra)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        if publish:
            self.publish(kind, version)

    def _store(self, aside: Path, kind: str, version: str, meta: Mapping[str, Any]) -> None:
        files = sorted(p for p in aside.rglob("*") if p.is_file())
        manifest = {
            "kind": kind,
            "version": version,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "meta": dict(meta),
            "files": {str(p.relative_to(aside)): {"bytes": p.stat().st_size, "crc32": _crc(p)} for p in files},
        }
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1))
        target = f"{self._base}/{kind}/{version}"
        if self.remote:
            pafs.copy_files(
                str(aside), target, source_filesystem=pafs.LocalFileSystem(), destination_filesystem=self._fs
            )
            return
        for path in [*files, aside / MANIFEST]:
            fsync(path)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        aside.chmod(0o755)
        os.rename(aside, target)
        fsync(Path(target).parent)

    def publish(self, kind: str, version: str) -> None:
        """Make `version` current: one atomic rename (local) or one object put (S3)."""
        if not self._exists(f"{kind}/{version}/{MANIFEST}"):
            raise BundleError(f"{kind} {version} is not stored under {self.root}: nothing to publish")
        pointer = f"{self._base}/{kind}/{POINTER}"
        if self.remote:
            with self._fs.open_output_stream(pointer) as out:
                out.write(version.encode())
            return
        draft = Path(f"{pointer}.{uuid.uuid4().hex}")
        draft.write_text(version)
        fsync(draft)
        os.replace(draft, pointer)
        fsync(draft.parent)

    def current(self, kind: str) -> str | None:
        """The published version, or None."""
        try:
            with self._fs.open_input_stream(f"{self._base}/{kind}/{POINTER}") as stream:
                return bytes(stream.read()).decode().strip() or None
        except FileNotFoundError:
            return None

    def versions(self, kind: str) -> list[str]:
        """All stored versions, oldest first."""
        listing = self._fs.get_file_info(pafs.FileSelector(f"{self._base}/{kind}", allow_not_found=True))
        return sorted(
            i.base_name for i in listing if i.type == pafs.FileType.Directory and not i.base_name.startswith(".")
        )

    def kinds(self) -> list[str]:
        """Every kind that has a published version."""
        listing = self._fs.get_file_info(pafs.FileSelector(self._base, allow_not_found=True, recursive=True))
        return sorted(str(Path(i.path).parent.relative_to(self._base)) for i in listing if i.base_name == POINTER)

    def open(self, kind: str, version: str | None = None, verify: bool = True) -> Bundle:
        """A stored version (default: the current one), with checksums compared unless `verify` is off.

        Raises BundleError when there is none, or when a file is missing or damaged.
        """
        version = version or self.current(kind)
        if version is None:
            raise BundleError(f"no {kind} is published under {self.root}")
        path = self._local_copy(kind, version)
        try:
            manifest = json.loads((path / MANIFEST).read_text())
        except (FileNotFoundError, json.JSONDecodeError) as error:
            raise BundleError(
                f"{kind} {version}: manifest unreadable under {self.root} ({type(error).__name__})"
            ) from None
        for name, facts in manifest["files"].items():
            file = path / name
            if not file.is_file() or file.stat().st_size != facts["bytes"] or (verify and _crc(file) != facts["crc32"]):
                raise BundleError(f"{kind} {version}: {name} is missing or damaged; publish another version")
        return Bundle(kind, version, path, manifest["meta"])

    def _local_copy(self, kind: str, version: str) -> Path:
        if not self.remote:
            return Path(self._base) / kind / version
        local = self._cache / kind / version
        if not local.is_dir():
            local.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".fetching-", dir=local.parent))
            source = f"{self._base}/{kind}/{version}"
            try:
                pafs.copy_files(
                    source, str(draft), source_filesystem=self._fs, destination_filesystem=pafs.LocalFileSystem()
                )
                os.rename(draft, local)
            except OSError:
                shutil.rmtree(draft, ignore_errors=True)
                if not local.is_dir():  # another process may have fetched the same version first
                    raise BundleError(f"{kind} {version} could not be read from {self.root}") from None
        return local

    def _exists(self, name: str) -> bool:
        return bool(self._fs.get_file_info(f"{self._base}/{name}").type == pafs.FileType.File)


def note_meta(folder: Path, **meta: Any) -> None:
    """Add facts to the manifest of the bundle being written into `folder`."""
    path = folder / ".meta.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | meta))


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            value = zlib.crc32(block, value)
    return value
