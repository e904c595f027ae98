"""What `BundleStore` needs of the storage that keeps its bundles (docs/extend/store.md).

Names are relative to the root and use `/`. A backend knows nothing of kinds, versions, manifests or checksums.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ASIDE = ".writing-"
"""How the names of folders begin that are being filled."""


@dataclass(frozen=True)
class Listed:
    """A stored file, as a listing tells it."""

    name: str
    changed: float  # seconds since the epoch
    bytes: int = 0


class Backend(Protocol):
    """Folders that are stored once and never change, and small pointer files that are replaced."""

    def new_folder(self) -> Path:
        """An empty local folder to fill for `put`. The caller removes it."""

    def put(self, folder: Path, name: str, last: str) -> None:
        """Store all files of a local folder as `name`; they outlive a crash once this returns. May move them away.

        `last` is one of the files: it appears behind all others, so where it is, the folder is whole. Raises OSError,
        also where `name` is stored already.
        """

    def get(self, name: str) -> Path:
        """A local folder with the files that were `put` as `name`; it stays as long as processes may map them.

        Raises OSError when they cannot be had. May return a folder that does not exist for a name that was never put.
        """

    def fetch(self, name: str) -> bool:
        """Replace one file of a copy that `get` made by what is stored; whether that was done.

        False where `get` gives the stored files themselves, and where the file cannot be had.
        """

    def remove(self, name: str) -> None:
        """Delete a file or a folder of that name, and local copies of it; one that is not there is no error.

        Who has it mapped keeps it. Raises OSError.
        """

    def has(self, name: str) -> bool:
        """Whether a file of that name is stored. Raises OSError."""

    def folders(self, name: str, last: str) -> list[str]:
        """Names of the folders directly in `name`, hidden ones too, in any order; empty when there is no `name`.

        Where folders appear file by file, only those that have their `last` one. Raises OSError.
        """

    def files(self) -> list[Listed]:
        """All files below the root, in any order. Raises OSError."""

    def read_pointer(self, name: str) -> str | None:
        """The text of a pointer, or None when there is none. Raises OSError."""

    def write_pointer(self, name: str, text: str) -> None:
        """Replace the text of a pointer: a reader gets the old or the new one, whole, even if this process dies."""

    def swap_pointer(self, name: str, old: str, new: str) -> bool:
        """The same where the text is `old` still; whether it was. Nobody's `write_pointer` in between is lost."""
