"""Bundles in a local folder, or on a mount that all hosts share: each is opened where it lies, nothing is copied."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.store.backend import ASIDE, Listed
from cluster.store.disk import fsync, make_folders, write_whole


class LocalFolder:
    """A `Backend` on a file system with atomic renames."""

    def __init__(self, root: str | Path):
        self._root = Path(root).absolute()

    def new_folder(self) -> Path:
        """Below the root, so that `put` is a rename."""
        make_folders(self._root)
        return Path(tempfile.mkdtemp(prefix=ASIDE, dir=self._root))

    def put(self, folder: Path, name: str, last: str) -> None:
        """Moves `folder` to its name, whole, once its files and their names are on disk."""
        for path in [*sorted(folder.rglob("*")), folder]:
            fsync(path)
        target = self._root / name
        make_folders(target.parent)
        folder.chmod(0o755)
        os.rename(folder, target)
        fsync(target.parent)

    def get(self, name: str) -> Path:
        """The folder itself."""
        return self._root / name

    def fetch(self, name: str) -> bool:
        """False: there is no copy."""
        return False

    def remove(self, name: str) -> None:
        """At once for readers of the name; a kill may leave a part."""
        path = self._root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if path.parent.is_dir():
            fsync(path.parent)

    def has(self, name: str) -> bool:
        """Whether a file of that name is stored."""
        return (self._root / name).is_file()

    def folders(self, name: str, last: str) -> list[str]:
        """Names of the folders directly in `name`: each got it whole."""
        top = self._root / name
        return [path.name for path in top.iterdir() if path.is_dir()] if top.is_dir() else []

    def files(self) -> list[Listed]:
        """All files below the root; what goes meanwhile may be among them or not."""
        found: list[Listed] = []
        for path in self._root.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    facts = path.stat()
                    found.append(Listed(path.relative_to(self._root).as_posix(), facts.st_mtime, facts.st_size))
        return found

    def read_pointer(self, name: str) -> str | None:
        """The text of a pointer, or None."""
        try:
            return (self._root / name).read_text()
        except FileNotFoundError:
            return None

    def write_pointer(self, name: str, text: str) -> None:
        """Written aside, then renamed over the old one."""
        with self._alone(name):
            write_whole(self._root / name, text.encode())

    def swap_pointer(self, name: str, old: str, new: str) -> bool:
        """Under a lock on the folder, which `write_pointer` takes as well."""
        with self._alone(name):
            if (self.read_pointer(name) or "").strip() != old:
                return False
            write_whole(self._root / name, new.encode())
        return True

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        handle = os.open((self._root / name).parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
