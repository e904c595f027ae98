"""Which pins hold each text of an attribute: an inverted index, so that a rare text costs as little as it is rare.

On disk: `{name}.starts.npy` int64[V+1] and `{name}.pins.npy` int32[m], pins ascending within a text · `{name}.texts.*`,
the V texts as an id map (cluster/graph/ids.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.errors import BundleError
from cluster.graph.bounds import check_offsets, check_within
from cluster.graph.ids import IdMap


@dataclass(frozen=True)
class Postings:
    """Read-only; memory-mapped once opened."""

    texts: IdMap
    starts: np.ndarray
    pins: np.ndarray
    more: Postings | None = None  # of other pins, with texts of their own

    @classmethod
    def of(cls, texts: pa.Array, pins: np.ndarray, n_pins: int) -> Postings:
        """From pairs of a text (null: no pair) and the pin int[m] that holds it (-1: none); repeats count once."""
        use = np.flatnonzero(np.asarray(texts.is_valid()) & (pins >= 0))
        encoded = texts.take(pa.array(use)).dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        pairs = np.unique(codes * max(n_pins, 1) + pins[use])
        code, pin = np.divmod(pairs, max(n_pins, 1))
        starts = np.searchsorted(code, np.arange(len(encoded.dictionary) + 1))
        return cls(IdMap.from_ids(encoded.dictionary), starts.astype(np.int64), pin.astype(np.int32))

    @classmethod
    def open(cls, folder: Path, name: str, n_pins: int) -> Postings:
        """Maps the files of `save`. Raises BundleError or what NumPy raises when they are damaged."""
        starts, pins = (
            np.asarray(np.load(folder / f"{name}.{part}.npy", mmap_mode="r")) for part in ("starts", "pins")
        )
        texts = IdMap.open(folder, f"{name}.texts")
        if len(starts) != len(texts) + 1 or starts[-1] != len(pins):
            raise BundleError(f"the attribute files {folder / name}.* differ in length; build the graph again")
        return cls(texts, starts, pins)

    def check(self, what: str, n_pins: int) -> None:
        """Raises BundleError where a text leads to a pin that there is not."""
        self.texts.check(what)
        check_offsets(what, self.starts, self.pins.size)
        check_within(f"pins of {what}", self.pins, 0, n_pins)

    def save(self, folder: Path, name: str) -> None:
        """Writes the files that `open` maps."""
        np.save(folder / f"{name}.starts.npy", self.starts)
        np.save(folder / f"{name}.pins.npy", self.pins)
        self.texts.save(folder, f"{name}.texts")

    def mark(self, texts: Iterable[str], into: np.ndarray) -> None:
        """Sets bool[n_pins] `into` for the pins that hold any of `texts`; a text that no pin has marks none."""
        wanted = list(texts)
        for code in self.texts.index_of(wanted).tolist():
            if code >= 0:
                into[self.pins[self.starts[code] : self.starts[code + 1]]] = True
        if self.more is not None:
            self.more.mark(wanted, into)

    def mark_all(self, into: np.ndarray) -> None:
        """Sets bool[n_pins] `into` for the pins that hold any text."""
        into[self.pins] = True
        if self.more is not None:
            self.more.mark_all(into)
