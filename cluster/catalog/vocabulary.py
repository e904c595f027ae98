"""The names that pins and users share: topics and locales, as small codes. Pure NumPy and Arrow."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import BundleError
from cluster.features.likeness import unit_rows

MAX_LOCALES = 32_766
FILE = "vocabulary.json"


@dataclass(frozen=True)
class Vocabulary:
    """`topics` of the pins and `locales` of pins and users, the most frequent first.

    Topics only ever grow at the end: a model trained with the first T columns reads the same T of every later graph.
    """

    topics: tuple[str, ...] = ()
    locales: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls, pins: pa.Table | None, users: pa.Table | None, max_topics: int, known: tuple[str, ...] = ()
    ) -> "Vocabulary":
        """Counts names in cleaned tables; ties in alphabetical order. `known` topics keep their columns."""
        topics = known
        if pins is not None:
            found = _frequent([pc.list_flatten(pins["topics"])], max_topics)
            topics = (*known, *(name for name in found if name not in known))[: max(max_topics, len(known))]
        return cls(topics, _frequent([t["locale"] for t in (pins, users) if t is not None], MAX_LOCALES))

    @property
    def width(self) -> int:
        """T, the columns of a topic matrix: at least 1."""
        return max(len(self.topics), 1)

    def topic_rows(self, lists: pa.ChunkedArray) -> np.ndarray:
        """float32[n, T]: each list's topics as a row of unit length, zero when it names none that is known."""
        out = np.zeros((len(lists), self.width), np.float32)
        flat = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
        names = pc.list_flatten(flat)
        if len(names) and self.topics:
            codes = pc.index_in(names, pa.array(self.topics, pa.string())).fill_null(-1).to_numpy(zero_copy_only=False)
            rows = pc.list_parent_indices(flat).to_numpy(zero_copy_only=False)
            known = codes >= 0
            out[rows[known], codes[known]] = 1.0
        return unit_rows(out)

    def locale_codes(self, names: pa.ChunkedArray | Sequence[str | None]) -> np.ndarray:
        """int16[n]: codes of locale names, -1 for null or unknown."""
        column = pa.array(names, pa.string()) if not isinstance(names, (pa.Array, pa.ChunkedArray)) else names
        if not self.locales:
            return np.full(len(column), -1, np.int16)
        codes = pc.index_in(column, pa.array(self.locales, pa.string())).fill_null(-1)
        return codes.to_numpy().astype(np.int16) if isinstance(codes, pa.ChunkedArray) else np.asarray(codes, np.int16)

    def locale_code(self, name: str | None) -> int:
        """The code of one locale name, -1 when it is None or unknown."""
        return self._locale_index.get(name or "", -1)

    @cached_property
    def _locale_index(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.locales)}

    def save(self, folder: Path) -> None:
        """Writes vocabulary.json into `folder`."""
        text = json.dumps({"topics": self.topics, "locales": self.locales}, ensure_ascii=False)
        (folder / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> "Vocabulary":
        """Reads what `save` wrote. Raises BundleError when it is not there."""
        try:
            raw = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(tuple(raw["topics"]), tuple(raw["locales"]))
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{folder / FILE} cannot be read ({error}): build the graph again") from None


def _frequent(columns: Sequence[pa.ChunkedArray], most: int) -> tuple[str, ...]:
    chunks = [
        chunk for column in columns for chunk in (column.chunks if isinstance(column, pa.ChunkedArray) else [column])
    ]
    if not chunks:
        return ()
    counts = pc.value_counts(pa.chunked_array(chunks, pa.string()).drop_null())
    pairs = [(-pair["counts"], pair["values"]) for pair in counts.to_pylist() if pair["values"]]
    return tuple(name for _, name in sorted(pairs)[:most])
