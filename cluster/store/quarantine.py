"""Rows that could not be stored, set aside one by one with the reason, so that they take no others with them.

`<home>/logs/quarantine/<log>-<time>-<random>.jsonl`, a JSON object a row: {"reason": …, "row": …}. Plain ASCII: what is
wrong with a row may be its text.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster.store.disk import fsync, make_folders


@dataclass(frozen=True)
class BadRow:
    """A row and why it could not be stored."""

    row: Mapping[str, Any]
    reason: str


def tell_apart(
    rows: Sequence[Mapping[str, Any]], table_of: Callable[[list[Any]], pa.Table]
) -> tuple[pa.Table, list[BadRow]]:
    """The rows as one table, and those that do not fit with the reason; only if there is one are they tried singly."""
    try:
        return table_of(list(rows)), []
    except Exception:  # whatever is wrong with one of them
        good: list[Mapping[str, Any]] = []
        bad: list[BadRow] = []
        for row in rows:
            try:
                table_of([row])
            except Exception as error:
                bad.append(BadRow(row, f"{type(error).__name__}: {str(error)[:200]}"))
            else:
                good.append(row)
        return table_of(good), bad


class Quarantine:
    """Writes and counts bad rows of one log. Thread-safe as far as the counter need be: one writer a log."""

    def __init__(self, folder: str | Path, log: str):
        self._folder = Path(folder)
        self._log = log
        self.rows = 0
        self.last = ""

    def add(self, bad: Sequence[BadRow]) -> Path | None:
        """Set rows aside; returns their file. Raises OSError when the disk refuses."""
        if not bad:
            return None
        make_folders(self._folder)
        path = self._folder / f"{self._log}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.jsonl"
        with path.open("x", encoding="ascii") as out:
            for each in bad:
                out.write(json.dumps({"reason": each.reason, "row": each.row}, default=_plain, skipkeys=True) + "\n")
            out.flush()
            os.fsync(out.fileno())
        fsync(self._folder)
        self.rows += len(bad)
        self.last = bad[-1].reason
        return path


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
