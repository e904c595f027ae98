"""What `BundleStore` needs of the storage that keeps its bundles (docs/extend/store.md).

Names are relative to the root and use `/`. A backend knows nothing of kinds, versions, manifests or checksums.
"""

from pathlib import Path
from typing import Protocol


class Backend(Protocol):
    """Folders that are stored once and never change, and small pointer files that are replaced."""

    def new_folder(self) -> Path:
        """An empty local folder to fill for `put`. The caller removes it."""

    def put(self, folder: Path, name: str) -> None:
        """Store all files of a local folder as `name`; they outlive a crash once this returns. May move them away.

        Until then a reader of `name` may find none or a part of them, and no pointer names it. Raises OSError.
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
        """Whether a file of that name is stored."""

    def folders(self, name: str) -> list[str]:
        """Names of the folders directly in `name`, hidden ones too, in any order; empty when there is no `name`."""

    def files(self) -> list[str]:
        """Names of all files below the root, in any order."""

    def read_pointer(self, name: str) -> str | None:
        """The text of a pointer, or None when there is none."""

    def write_pointer(self, name: str, text: str) -> None:
        """Replace the text of a pointer: a reader gets the old or the new one, whole, even if this process dies."""
