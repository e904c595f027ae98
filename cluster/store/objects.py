"""Bundles in an object store, or in anything else that pyarrow.fs opens by a URI, with a local copy of what was opened.

An object store has no rename: files go up one by one, and a pointer is one small object that is put whole.
"""

import os
import shutil
import tempfile
import uuid
from pathlib import Path

from pyarrow import fs as pafs

CACHE = "pinfunnel-bundles"
BLOCK = 1 << 22
"""Bytes that are copied at a time."""


class ObjectStore:
    """A `Backend` behind a URI such as `s3://bucket/prefix`."""

    def __init__(self, uri: str, cache: str | Path | None = None):
        """`cache`: where local copies go, by default a folder of the machine's temporary ones."""
        self._fs, self._base = pafs.FileSystem.from_uri(uri)
        self._cache = Path(cache or Path(tempfile.gettempdir()) / CACHE)

    def new_folder(self) -> Path:
        """Beside the local copies."""
        self._cache.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".writing-", dir=self._cache))

    def put(self, folder: Path, name: str) -> None:
        """Copies every file."""
        self._fs.create_dir(self._at(name))  # where folders are real, copying makes only those that `folder` has
        here = pafs.LocalFileSystem()
        pafs.copy_files(str(folder), self._at(name), source_filesystem=here, destination_filesystem=self._fs)

    def get(self, name: str) -> Path:
        """The local copy, fetched when it is first asked for."""
        local = self._cache / name
        if local.is_dir():
            return local
        local.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".fetching-", dir=local.parent))
        here = pafs.LocalFileSystem()
        try:
            pafs.copy_files(self._at(name), str(draft), source_filesystem=self._fs, destination_filesystem=here)
            os.rename(draft, local)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not local.is_dir():  # another process may have fetched the same name first
                raise
        return local

    def fetch(self, name: str) -> bool:
        """Copies one file again, aside, and then over the old copy: who has that mapped keeps its bytes."""
        local = self._cache / name
        draft = local.with_name(f".fetching-{uuid.uuid4().hex}")
        try:
            local.parent.mkdir(parents=True, exist_ok=True)
            with self._fs.open_input_stream(self._at(name)) as stored, draft.open("wb") as copy:
                shutil.copyfileobj(stored, copy, BLOCK)
            os.replace(draft, local)
        except OSError:
            draft.unlink(missing_ok=True)
            return False
        return True

    def remove(self, name: str) -> None:
        """There, and the copy of this machine; other machines keep theirs."""
        local = self._cache / name
        found = self._fs.get_file_info(self._at(name)).type
        if found == pafs.FileType.Directory:
            self._fs.delete_dir(self._at(name))
        elif found == pafs.FileType.File:
            self._fs.delete_file(self._at(name))
        if local.is_dir():
            shutil.rmtree(local)
        else:
            local.unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Whether a file of that name is stored."""
        return bool(self._fs.get_file_info(self._at(name)).type == pafs.FileType.File)

    def folders(self, name: str) -> list[str]:
        """Names of the folders directly in `name`."""
        listing = self._fs.get_file_info(pafs.FileSelector(self._at(name), allow_not_found=True))
        return [info.base_name for info in listing if info.type == pafs.FileType.Directory]

    def files(self) -> list[str]:
        """Names of all files below the root."""
        listing = self._fs.get_file_info(pafs.FileSelector(self._base, allow_not_found=True, recursive=True))
        found = [info.path for info in listing if info.type == pafs.FileType.File]
        return [Path(path).relative_to(self._base).as_posix() for path in found]

    def read_pointer(self, name: str) -> str | None:
        """The text of a pointer, or None."""
        try:
            with self._fs.open_input_stream(self._at(name)) as stream:
                return bytes(stream.read()).decode()
        except FileNotFoundError:
            return None

    def write_pointer(self, name: str, text: str) -> None:
        """One put: an object store shows the old object or the new one."""
        with self._fs.open_output_stream(self._at(name)) as out:
            out.write(text.encode())

    def _at(self, name: str) -> str:
        return f"{self._base}/{name}"
