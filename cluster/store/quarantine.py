"""Rows that could not be stored, set aside one by one with the reason, so that they take no others with them.

`<home>/logs/quarantine/<log>-<time>-<random>.jsonl`, a JSON object a row: {"reason": …, "row": …}. Plain ASCII: what is
wrong with a row may be its text.
"""

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class BadRow:
    """A row and why it could not be stored."""

    row: Mapping[str, Any]
    reason: str


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
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._log}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.jsonl"
        with path.open("x", encoding="ascii") as out:
            for each in bad:
                out.write(json.dumps({"reason": each.reason, "row": each.row}, default=_plain, skipkeys=True) + "\n")
            out.flush()
            os.fsync(out.fileno())
        self.rows += len(bad)
        self.last = bad[-1].reason
        return path


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
