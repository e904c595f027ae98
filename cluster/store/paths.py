"""Where the files of the logs lie: a path of a file system, or an object's URI that answers like one.

Logs are whole files with names of their own, so an object store needs of a path only what `LogPath` says. Copies of
this are cheap to make from a text, in any process.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import obstore
from pyarrow import fs as pafs

from cluster.store.objects import open_store, storage


class Stat(Protocol):
    """Of a file."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_mtime(self) -> float:
        """When it was written, in seconds since the epoch."""


class LogPath(Protocol):
    """What the logs need of a path; `pathlib.Path` is one."""

    @property
    def name(self) -> str:
        """The last part."""

    @property
    def stem(self) -> str:
        """The last part without its suffix."""

    @property
    def parent(self) -> "LogPath":
        """All but the last part."""

    def __truediv__(self, part: str, /) -> "LogPath":
        """The path of something below."""

    def __lt__(self, other: Any, /) -> bool:
        """By text."""

    def glob(self, pattern: str, /) -> Iterator["LogPath"]:
        """Files and folders below whose parts match."""

    def rglob(self, pattern: str, /) -> Iterator["LogPath"]:
        """The same at any depth."""

    def exists(self) -> bool:
        """Whether there is such a file."""

    def is_dir(self) -> bool:
        """Whether it is a folder."""

    def stat(self) -> Stat:
        """Raises FileNotFoundError."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Raises FileNotFoundError where it is not there, unless that is fine."""

    def rmdir(self) -> None:
        """Remove an empty folder. Raises OSError where it is not empty."""


@dataclass(frozen=True)
class ObjectStat:
    """What a listing says of an object."""

    st_size: int
    st_mtime: float


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object, or what names of objects begin with: folders are not there. Raises OSError like a path."""

    bucket: str  # `s3://bucket`
    key: PurePosixPath
    listed: ObjectStat | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, uri: str) -> "ObjectPath":
        """From `s3://bucket/some/key`."""
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        return cls(f"{scheme}://{bucket}", PurePosixPath(key))

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.name

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return self.key.stem

    @property
    def parent(self) -> "ObjectPath":
        """All but the last part."""
        return ObjectPath(self.bucket, self.key.parent)

    def __truediv__(self, part: str) -> "ObjectPath":
        return ObjectPath(self.bucket, self.key / part)

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """What is directly below and matches; of a pattern of several parts, objects of that depth."""
        parts = pattern.split("/")
        if len(parts) == 1:
            with storage():
                found = obstore.list_with_delimiter(self._store, f"{self.key}/")
            for folder in found["common_prefixes"]:
                if fnmatchcase(PurePosixPath(folder).name, pattern):
                    yield ObjectPath(self.bucket, PurePosixPath(folder))
            yield from (each for each in map(self._at, found["objects"]) if fnmatchcase(each.name, pattern))
            return
        for each in self.rglob("*"):
            below = each.key.relative_to(self.key).parts
            if len(below) == len(parts) and all(map(fnmatchcase, below, parts)):
                yield each

    def rglob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Objects whose last part matches."""
        with storage():
            pages = list(obstore.list(self._store, f"{self.key}/"))
        found = (self._at(each) for page in pages for each in page)
        return (each for each in found if fnmatchcase(each.name, pattern))

    def exists(self) -> bool:
        """Whether there is such an object."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """False: only objects are there."""
        return False

    def stat(self) -> ObjectStat:
        """As the listing said that it came from, or as it is now."""
        if self.listed is not None:
            return self.listed
        with storage():
            return _stat(obstore.head(self._store, str(self.key)))

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        if not missing_ok:
            ObjectPath(self.bucket, self.key).stat()
        with storage():
            obstore.delete(self._store, str(self.key))

    def rmdir(self) -> None:
        """Does nothing: without objects below it, there is no folder."""

    def write(self, data: bytes) -> None:
        """All of it, whole: an object store shows the old object or the new one."""
        with storage():
            obstore.put(self._store, str(self.key), data)

    def _at(self, found: Any) -> "ObjectPath":
        return ObjectPath(self.bucket, PurePosixPath(found["path"]), _stat(found))

    @property
    def _store(self) -> Any:
        return _bucket(self.bucket, os.environ.get("AWS_ENDPOINT_URL"))


def log_path(address: str | Path) -> LogPath:
    """A path, or the URI of an object."""
    return ObjectPath.of(address) if isinstance(address, str) and "://" in address else Path(address)


def opened(path: str | LogPath) -> Any:
    """What PyArrow reads a file from: its path, or a file that reads ranges of an object. Raises OSError."""
    address = str(path)
    if "://" not in address:
        return address
    uri = ObjectPath.of(address)
    system, base = _system(uri.bucket, os.environ.get("AWS_ENDPOINT_URL"))
    return system.open_input_file(f"{base}/{uri.key}")


def _stat(found: Any) -> ObjectStat:
    return ObjectStat(found["size"], found["last_modified"].timestamp())


@lru_cache(maxsize=8)
def _bucket(uri: str, endpoint: str | None) -> Any:
    return open_store(uri)


@lru_cache(maxsize=8)
def _system(uri: str, endpoint: str | None) -> tuple[Any, str]:
    return pafs.FileSystem.from_uri(uri)
