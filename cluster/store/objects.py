"""Bundles in an object store (`s3://`, `gs://`), with a local copy of what was opened.

An object store has no rename: files go up one by one, the one that makes them a whole last, by a conditional put. A
pointer is one small object that is put whole, or swapped where it is still the one that was read (its ETag; for Google
its version).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
import obstore.exceptions
import obstore.store

from cluster.errors import StorageError
from cluster.store.backend import Listed
from cluster.store.copies import Copies

if TYPE_CHECKING:
    from obstore import UpdateVersion

CACHE = "pinfunnel-bundles"
PIECE = 16 << 20
"""Bytes that are fetched by one call; several run at a time."""
FETCHERS = 8


class ObjectStore:
    """A `Backend` behind a URI such as `s3://bucket/prefix`."""

    def __init__(self, uri: str, cache: str | Path | None = None, cache_bytes: int | None = None):
        """`cache`: where local copies go, and `cache_bytes` how many; facts of a machine, so by default its
        environment says (`PINFUNNEL_CACHE`, `PINFUNNEL_CACHE_GB`): a folder of the temporary ones, and 50 GB.
        """
        self._store = open_store(uri)
        folder = cache or os.environ.get("PINFUNNEL_CACHE") or Path(tempfile.gettempdir()) / CACHE
        self._copies = Copies(Path(folder), cache_bytes or int(float(os.environ.get("PINFUNNEL_CACHE_GB", 50)) * 1e9))

    def new_folder(self) -> Path:
        """Beside the local copies."""
        return self._copies.new_folder()

    def put(self, folder: Path, name: str, last: str) -> None:
        """Sends every file, and `last` behind them if nobody has."""
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        with storage():
            for each in names:
                if each != last:
                    obstore.put(self._store, f"{name}/{each}", folder / each)
            obstore.put(self._store, f"{name}/{last}", folder / last, mode="create")

    def get(self, name: str) -> Path:
        """The local copy, fetched when it is first asked for."""
        while (copy := self._copies.use(name)) is None:
            draft = self.new_folder()
            try:
                self._fetch_all(name, draft)
                self._copies.take(draft, name)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return copy

    def _fetch_all(self, name: str, draft: Path) -> None:
        with storage():
            found = [each for page in obstore.list(self._store, f"{name}/") for each in page]
            if not found:
                raise FileNotFoundError(f"no {name} is stored")
            self._copies.make_room(sum(each["size"] for each in found))
            for each in found:
                self._download(each["path"], each["size"], draft / each["path"].removeprefix(f"{name}/"))

    def _download(self, name: str, size: int, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out, ThreadPoolExecutor(FETCHERS) as pool:

            def piece(start: int) -> None:
                data = obstore.get_range(self._store, name, start=start, end=min(start + PIECE, size))
                os.pwrite(out.fileno(), data, start)

            list(pool.map(piece, range(0, size, PIECE)))

    def fetch(self, name: str) -> bool:
        """Copies one file again, aside, and then over the old copy: who has that mapped keeps its bytes."""
        local = self._copies.file(name)
        if local is None:
            return False
        aside = self._copies.new_folder()
        try:
            with storage():
                self._download(name, obstore.head(self._store, name)["size"], aside / local.name)
            local.parent.mkdir(parents=True, exist_ok=True)
            os.replace(aside / local.name, local)
        except OSError:
            return False
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return True

    def remove(self, name: str) -> None:
        """There, and the copy of this machine; other machines keep theirs until there is no room."""
        with storage():
            found = [each["path"] for page in obstore.list(self._store, f"{name}/") for each in page]
            obstore.delete(self._store, found)
            with suppress(FileNotFoundError):
                obstore.delete(self._store, name)
        self._copies.drop(name)

    def has(self, name: str) -> bool:
        """Whether a file of that name is stored."""
        try:
            with storage():
                obstore.head(self._store, name)
        except FileNotFoundError:
            return False
        return True

    def folders(self, name: str, last: str) -> list[str]:
        """Names of the folders directly in `name` that have their `last` file."""
        with storage():
            found = obstore.list_with_delimiter(self._store, f"{name}/")["common_prefixes"]
        names = [path.strip("/").rpartition("/")[2] for path in found]
        return [each for each in names if self.has(f"{name}/{each}/{last}")]

    def files(self) -> list[Listed]:
        """All files below the root."""
        with storage():
            pages = list(obstore.list(self._store))
        return [
            Listed(each["path"], each["last_modified"].timestamp(), each["size"]) for page in pages for each in page
        ]

    def read_pointer(self, name: str) -> str | None:
        """The text of a pointer, or None."""
        found = self._read(name)
        return None if found is None else found[0]

    def write_pointer(self, name: str, text: str) -> None:
        """One put: an object store shows the old object or the new one."""
        with storage():
            obstore.put(self._store, name, text.encode())

    def swap_pointer(self, name: str, old: str, new: str) -> bool:
        """A put that the store takes only where the object is the one that was read."""
        found = self._read(name)
        if found is None or found[0].strip() != old:
            return False
        try:
            with storage():
                obstore.put(self._store, name, new.encode(), mode=found[1])
        except ChangedMeanwhile:
            return False
        return True

    def _read(self, name: str) -> tuple[str, "UpdateVersion"] | None:
        """A pointer's text, and by what a store knows it again."""
        try:
            with storage():
                found = obstore.get(self._store, name)
                known: UpdateVersion = {}
                if (tag := found.meta["e_tag"]) is not None:
                    known["e_tag"] = tag
                if (version := found.meta["version"]) is not None:
                    known["version"] = version
                return bytes(found.bytes()).decode(), known
        except FileNotFoundError:
            return None


class ChangedMeanwhile(StorageError):
    """A conditional put found another object than the one it was for."""


def open_store(uri: str) -> Any:
    """The store behind a URI; keys, region, endpoint and path style come from the environment (`AWS_…`).

    Raises OSError where they do not do.
    """
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    with storage():
        return obstore.store.from_url(
            uri,
            config=None,
            client_options={"allow_http": plain, "connect_timeout": "5s", "timeout": "60s"},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        )


@contextmanager
def storage() -> Iterator[None]:
    """What the library raises, as StorageError in one line; what is not there, as FileNotFoundError."""
    try:
        yield
    except (obstore.exceptions.PreconditionError, obstore.exceptions.AlreadyExistsError) as error:
        raise ChangedMeanwhile(_line(error)) from None
    except obstore.exceptions.BaseError as error:
        raise StorageError(_line(error)) from None


def _line(error: Exception) -> str:
    told = " ".join(str(error).split())[:200]
    return f"object store: {told} (its address and keys come from the environment: AWS_ENDPOINT_URL, …)"
