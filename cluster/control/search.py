"""Looks for a user's id in every byte below some folders, what Parquet has packed included: that nothing of it is left.

An id is looked for as text, and a large number also as the eight bytes that it is in arrays and databases. One that is
short, or a small number, would be found everywhere: for it only columns and fields that hold users are searched.
"""

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.contract.ids import Id
from cluster.control.logs import users_in_lines
from cluster.data.files import UNREADABLE

DISTINCT = 6
"""Characters from which on an id is told from other text by its bytes."""
LARGE = 2**40
"""From which on a number is told from others by its bytes."""


@dataclass(frozen=True)
class Needle:
    """What a user's id looks like on disk."""

    user: Id

    @property
    def distinct(self) -> bool:
        """Whether its bytes tell it from anything else."""
        return abs(self.user) >= LARGE if isinstance(self.user, int) else len(self.user.encode()) >= DISTINCT

    def forms(self) -> list[bytes]:
        """Its bytes: as text, and as a number of either byte order."""
        text = str(self.user).encode("utf-8", "surrogatepass")
        if isinstance(self.user, str):
            return list({text, ascii(self.user)[1:-1].encode()})
        return [text, *(self.user.to_bytes(8, order, signed=True) for order in ("little", "big"))]


def search(roots: Iterable[Path], user: Id) -> Iterator[str]:
    """Files below the folders in which the user is found, with what was found where."""
    needle = Needle(user)
    for root in roots:
        files = [root] if root.is_file() else sorted(root.rglob("*"))
        for path in (each for each in files if each.is_file() and not each.is_symlink()):
            try:
                found = _in_file(path, needle)
            except FileNotFoundError:  # gone since the listing
                continue
            except UNREADABLE as error:
                found = f"cannot be read, and so not be searched: {str(error).splitlines()[0]}"
            if found:
                yield f"{path}: {found}"


def _in_file(path: Path, needle: Needle) -> str:
    if path.suffix == ".parquet" and (found := _in_parquet(path, needle)):
        return found
    if path.suffix == ".jsonl" and needle.user in users_in_lines(path.read_bytes()):
        return "a line names the user"
    if not needle.distinct or not path.stat().st_size:
        return ""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = max(data.find(form) for form in needle.forms())
    return f"the id stands at byte {at}" if at >= 0 else ""


def _in_parquet(path: Path, needle: Needle) -> str:
    file = pq.ParquetFile(path)
    for batch in file.iter_batches():
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if (needle.distinct or name == "user_id") and _in_column(column, needle):
                return f"column {name} holds it"
    return ""


def _in_column(column: pa.Array, needle: Needle) -> bool:
    while pa.types.is_list(column.type):
        column = column.flatten()
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _in_column(column.dictionary, needle)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        patterns = needle.forms() if pa.types.is_binary(kind) else [str(needle.user)]
        return any(bool(pc.any(pc.match_substring(column, pattern)).as_py()) for pattern in patterns)
    if pa.types.is_int64(kind) and isinstance(needle.user, int):
        return bool(pc.any(pc.equal(column, needle.user)).as_py())
    return False
