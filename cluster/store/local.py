"""Bundles in a local folder, or on a mount that all hosts share: each is opened where it lies, nothing is copied."""

import os
import shutil
import tempfile
import uuid
from pathlib import Path

from cluster.store.disk import fsync, make_folders


class LocalFolder:
    """A `Backend` on a file system with atomic renames."""

    def __init__(self, root: str | Path):
        self._root = Path(root).absolute()

    def new_folder(self) -> Path:
        """Below the root, so that `put` is a rename."""
        make_folders(self._root)
        return Path(tempfile.mkdtemp(prefix=".writing-", dir=self._root))

    def put(self, folder: Path, name: str) -> None:
        """Moves `folder` to its name once its files and their names are on disk."""
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

    def folders(self, name: str) -> list[str]:
        """Names of the folders directly in `name`."""
        top = self._root / name
        return [path.name for path in top.iterdir() if path.is_dir()] if top.is_dir() else []

    def files(self) -> list[str]:
        """Names of all files below the root."""
        return [path.relative_to(self._root).as_posix() for path in self._root.rglob("*") if path.is_file()]

    def read_pointer(self, name: str) -> str | None:
        """The text of a pointer, or None."""
        try:
            return (self._root / name).read_text()
        except FileNotFoundError:
            return None

    def write_pointer(self, name: str, text: str) -> None:
        """Written aside, then renamed over the old one."""
        pointer = self._root / name
        draft = Path(f"{pointer}.{uuid.uuid4().hex}")
        draft.write_text(text)
        fsync(draft)
        os.replace(draft, pointer)
        fsync(pointer.parent)
