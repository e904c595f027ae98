"""The values of the pins' categorical columns, kept exactly: what policy labels are compared with.

Features hash a category into 2^20 codes, where two values may share one; a pin that may not be shown is told by its
value itself.

On disk: label_codes.npy int32[n, K] (-1: no value) · label_values.json: the columns, and each one's values by code.
"""

import difflib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.errors import BundleError

CODES = "label_codes.npy"
VALUES = "label_values.json"
COMPARED = 1000
"""Beyond so many values none is looked at letter by letter for a near one."""


@dataclass(frozen=True)
class PinLabels:
    """Read-only. `codes` int32[n, K]; `values[k]` are the names of column k's codes."""

    columns: tuple[str, ...]
    codes: np.ndarray
    values: tuple[tuple[str, ...], ...]

    @classmethod
    def build(cls, folder: Path, columns: tuple[str, ...], pins: pa.Table | None, rows: np.ndarray) -> None:
        """Writes what `open` reads: `rows` int64[n] is each graph pin's row in the pins input, -1 for none."""
        codes = np.full((len(rows), len(columns)), -1, np.int32)
        values: list[list[str]] = []
        for at, name in enumerate(columns):
            if pins is None or not len(pins):
                values.append([])
                continue
            encoded = pins[name].combine_chunks().dictionary_encode()
            of_row = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            codes[:, at] = np.where(rows >= 0, of_row[np.maximum(rows, 0)], -1)
            values.append(encoded.dictionary.to_pylist())
        np.save(folder / CODES, codes)
        text = json.dumps({"columns": columns, "values": values}, ensure_ascii=False)
        (folder / VALUES).write_text(text, encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> "PinLabels | None":
        """Maps the files of `build`; None for a bundle of version 0.1, which has none. Raises BundleError."""
        if not (folder / VALUES).exists():
            return None
        try:
            facts = json.loads((folder / VALUES).read_text(encoding="utf-8"))
            codes = np.asarray(np.load(folder / CODES, mmap_mode="r"))
            columns = tuple(facts["columns"])
            values = tuple(tuple(names) for names in facts["values"])
            if codes.ndim != 2 or not codes.shape[1] == len(columns) == len(values):
                raise ValueError("columns and values differ in number")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"cannot open the labels in {folder}: {error}; build the graph again") from None
        return cls(columns, codes, values)

    def holds(self, column: str, value: str, pins: np.ndarray) -> np.ndarray:
        """Whether each of `pins` (indices) has this very value in the column, bool[k]."""
        at = self.columns.index(column)
        code = self._code_of[at].get(value)
        return np.zeros(len(pins), bool) if code is None else np.asarray(self.codes[pins, at] == code)

    def unknown(self, column: str, value: str) -> str:
        """What to say of a value that no pin has; empty when one has it."""
        if column not in self.columns or value in self._code_of[self.columns.index(column)]:
            return ""
        return no_such_value(column, value, self.values[self.columns.index(column)])

    @cached_property
    def _code_of(self) -> tuple[dict[str, int], ...]:
        """Each column's codes by value: every request asks, and a column of sellers has a million values."""
        return tuple({value: code for code, value in enumerate(names)} for names in self.values)


def no_such_value(column: str, value: str, known: tuple[str, ...] | list[str]) -> str:
    """`no pin has rating 'Adult'; did you mean 'adult'?`"""
    folded = {plain(name): name for name in known}
    near = folded.get(plain(value))
    if near is None and len(known) <= COMPARED:
        near = next(iter(difflib.get_close_matches(value, known, n=1)), None)
    return f"no pin has {column} {value!r}" + (f"; did you mean {near!r}?" if near else "")


def plain(text: str) -> str:
    """A text without what people take for no difference: case, and how many spaces stand where."""
    return " ".join(text.casefold().split())
