"""The attributes of all pins of one graph, memory-mapped, and which pins a filter matches.

On disk, the folder attributes/ of a graph bundle: attributes.json names the attributes and their kinds, in order; the
i-th has `{i}.values.npy` float64[n] (numbers, and times as microseconds since 1970; NaN: no value), or `Postings`
under the name `{i}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.attributes.cache import MaskCache
from cluster.attributes.filters import Filter
from cluster.attributes.masks import mask_of
from cluster.attributes.postings import Postings
from cluster.errors import BundleError
from cluster.settings.attributes import AttributeKind

FILE = "attributes.json"


@dataclass(frozen=True)
class AttributeTable:
    """Read-only; safe to share between threads."""

    n_pins: int
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    texts: dict[str, Postings] = field(default_factory=dict)
    _masks: MaskCache = field(default_factory=MaskCache)

    @classmethod
    def of(cls, kinds: Mapping[str, AttributeKind], pins: pa.Table | None, rows: np.ndarray) -> AttributeTable:
        """From the cleaned pins input; `rows` int64[n] is each graph pin's row in it, -1 for none."""
        made = cls(len(rows))
        for name, kind in kinds.items():
            column = pa.nulls(0) if pins is None else pins[name].combine_chunks()
            if kind in ("number", "time"):
                made.numbers[name] = _numbers(column, rows)
            else:
                made.texts[name] = _texts(column, rows)
        return made

    def save(self, folder: Path) -> None:
        """Writes what `open` maps."""
        folder.mkdir(parents=True, exist_ok=True)
        names = [*self.numbers, *self.texts]
        for at, name in enumerate(names):
            if name in self.numbers:
                np.save(folder / f"{at}.values.npy", self.numbers[name])
            else:
                self.texts[name].save(folder, str(at))
        facts = {"numbers": list(self.numbers), "texts": list(self.texts)}
        (folder / FILE).write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path, n_pins: int) -> AttributeTable:
        """Maps the files of `save`; a bundle from before there were attributes has none. Raises BundleError."""
        made = cls(n_pins)
        if not folder.exists():
            return made
        facts = json.loads((folder / FILE).read_text(encoding="utf-8"))
        for at, name in enumerate(facts["numbers"]):
            values = made.numbers[name] = np.asarray(np.load(folder / f"{at}.values.npy", mmap_mode="r"))
            if values.shape != (n_pins,) or values.dtype != np.float64:
                raise BundleError(f"the attribute {name!r} in {folder} is not of {n_pins} pins; build the graph again")
        for at, name in enumerate(facts["texts"], len(facts["numbers"])):
            made.texts[name] = Postings.open(folder, str(at), n_pins)
        return made

    def check(self) -> None:
        """Raises BundleError where a text leads to a pin that there is not."""
        for name, postings in self.texts.items():
            postings.check(f"texts of {name!r}", self.n_pins)

    def matching(self, asked: Filter) -> np.ndarray:
        """bool[n_pins], read-only: the pins that a filter matches; worked out once for the last filters.

        Raises BundleError for an attribute that this graph was built without, or with another kind.
        """
        return self._masks.get(asked, lambda: mask_of(asked, self.n_pins, self.numbers, self.texts))


def _numbers(column: pa.Array, rows: np.ndarray) -> np.ndarray:
    """float64[n] of a column of numbers or times, NaN where there is no value."""
    out = np.full(len(rows), np.nan)
    if len(column):
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        values = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy(zero_copy_only=False)
        there = np.flatnonzero(rows >= 0)
        out[there] = values[rows[there]]
    return out


def _texts(column: pa.Array, rows: np.ndarray) -> Postings:
    """The postings of a column of texts or of lists of them."""
    there = np.flatnonzero(rows >= 0)
    pin_of_row = np.full(len(column), -1, np.int64)
    if len(column):
        pin_of_row[rows[there]] = there
    if pa.types.is_list(column.type):
        parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        return Postings.of(pc.list_flatten(column).cast(pa.string()), pin_of_row[parents], len(rows))
    return Postings.of(column.cast(pa.string()), pin_of_row, len(rows))
