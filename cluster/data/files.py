"""Which files of a folder are an input, as Spark and Arrow see it; and the columns that folder names hold.

Hidden paths (a part of the path below the folder that begins with `_` or `.`) are other tools' business. Everything
else is read, whatever its suffix, when it is Parquet by its first bytes, and is named as left out when it is not.
Folders named `key=value` are columns (Hive partitioning). Table formats that keep removed rows in their folder are
refused.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs as pafs

from cluster.errors import DataError

UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError)
"""What PyArrow raises for a damaged Parquet file; the last for names in its footer that are no UTF-8."""
SUFFIXES = (".parquet", ".pq", ".parq")
MAGIC = b"PAR1"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
TABLE_FORMATS = {
    "_delta_log": ("a Delta table", "DeltaTable(path).to_pyarrow_table() of the package deltalake"),
    ".hoodie": ("a Hudi table", "spark.read.format('hudi').load(path)"),
}
ICEBERG = "Table.scan().to_arrow() of the package pyiceberg"


@dataclass(frozen=True)
class Found:
    """The files of an input, sorted, and the visible ones that are not Parquet."""

    files: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class NotPlainParquet(DataError):
    """The folder is a table of a format whose live rows only its own library knows. The text has the way out."""


def filesystem(path: str) -> tuple[Any, str]:
    """The file system of a path or URI, and the path in it."""
    if "://" in path:
        system, inner = pafs.FileSystem.from_uri(path)
        return system, inner
    return pafs.LocalFileSystem(), path


def find_files(path: str) -> Found:
    """The Parquet files of a file or folder (local or URI). Raises FileNotFoundError, or NotPlainParquet."""
    system, inner = filesystem(path)
    prefix = path[: len(path) - len(inner)] if "://" in path else ""
    info = system.get_file_info(inner)
    if info.type == pafs.FileType.NotFound:
        raise FileNotFoundError(path)
    if info.type == pafs.FileType.File:
        return Found((path,))
    entries = system.get_file_info(pafs.FileSelector(inner, recursive=True))
    _refuse_table_formats(inner, entries)
    files: list[str] = []
    left_out: list[str] = []
    for entry in sorted(entries, key=lambda entry: entry.path):
        if entry.type != pafs.FileType.File or _hidden(_below(inner, entry.path)):
            continue
        is_data = entry.path.lower().endswith(SUFFIXES) or _begins_as_parquet(system, entry)
        (files if is_data else left_out).append(prefix + entry.path)
    return Found(tuple(files), tuple(left_out))


def partition_values(path: str, file: str) -> dict[str, str | None]:
    """Columns that the folders between `path` and `file` hold: `…/locale=de/part-0.parquet` has {"locale": "de"}."""
    values: dict[str, str | None] = {}
    for part in _below(path, file).split("/")[:-1]:
        name, equals, value = part.partition("=")
        if equals and name:
            values[unquote(name)] = None if value == NULL_PARTITION else unquote(value)
    return values


def _below(folder: str, path: str) -> str:
    return path.removeprefix(folder.rstrip("/")).lstrip("/")


def _hidden(relative: str) -> bool:
    """Spark's rule: `_` and `.` hide, but a partition folder may begin with `_` (`_day=3`)."""
    parts = relative.split("/")
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in parts)


def _begins_as_parquet(system: Any, entry: Any) -> bool:
    if entry.size < 2 * len(MAGIC):
        return False
    with system.open_input_file(entry.path) as file:
        return bytes(file.read(len(MAGIC))) == MAGIC


def _refuse_table_formats(folder: str, entries: list[Any]) -> None:
    for entry in entries:
        parts = _below(folder, entry.path).split("/")
        for marker, (what, way) in TABLE_FORMATS.items():
            if marker in parts:
                raise NotPlainParquet(_way_out(what, way))
        if entry.path.endswith(".metadata.json") and len(parts) > 1 and parts[-2] == "metadata":
            raise NotPlainParquet(_way_out("an Iceberg table", ICEBERG))


def _way_out(what: str, way: str) -> str:
    return (
        f"is {what}: files of removed and replaced rows still lie in it, and only its own library tells which: "
        f"write its present rows as Parquet into a folder of their own ({way}) and name that"
    )
