"""What holds of a graph in one piece and of one in parts: its pins, its boards, and how many edges each has.

`cluster.graph.csr` has the piece, `cluster.graph.sharded` the parts. Who reads edges reads those of `parts`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cluster.graph.ids import IdMap
from cluster.graph.packing import DEGREE_MAX, frozen, unpack_degrees

if TYPE_CHECKING:
    from cluster.graph.csr import Graph

_MAX = np.uint64(DEGREE_MAX)


class AnyGraph(ABC):
    """A bipartite graph. Immutable: its arrays are read-only, so threads and processes can walk it at once."""

    n_edges: int

    def __init__(
        self,
        pin_index: np.ndarray,
        board_index: np.ndarray,
        pin_ids: IdMap,
        board_ids: IdMap,
        locale_bounds: np.ndarray | None,
        locales: Sequence[str] | None,
    ) -> None:
        """The indices are words of `cluster.graph.packing`: of a graph in parts only their degrees mean something."""
        self.pin_index = frozen(pin_index)
        self.board_index = frozen(board_index)
        self.pin_ids = pin_ids
        self.board_ids = board_ids
        self.locale_bounds = None if locale_bounds is None else frozen(locale_bounds)
        self.locales = None if locales is None else list(locales)
        self.n_pins = self.pin_index.size - 1
        self.n_boards = self.board_index.size - 1

    @property
    @abstractmethod
    def parts(self) -> Sequence[Graph]:
        """Graphs of the same pins and boards that have every edge once: a board's all in one of them."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of both directions that walks read, id maps left out."""

    @abstractmethod
    def save(self, directory: str | Path) -> None:
        """Writes its files into a folder. Not atomic: publish through `cluster.store.bundles`."""

    @cached_property
    def pin_degree(self) -> np.ndarray:
        """int32[n_pins]: boards of each pin."""
        return unpack_degrees(self.pin_index)

    @cached_property
    def board_degree(self) -> np.ndarray:
        """int32[n_boards]: pins of each board."""
        return unpack_degrees(self.board_index)

    @cached_property
    def max_pin_degree(self) -> int:
        """Boards of the pin that is on most; 0 without pins."""
        return int(self.pin_degree.max(initial=0))

    def pins_of(self, board: int) -> np.ndarray:
        """int32[d]: the pins of a board, ascending."""
        for part in self.parts:
            if part.board_index[board] & _MAX:
                return part.row_of(board)
        return np.empty(0, np.int32)

    def locale_range(self, locale: int | str) -> tuple[int, int]:
        """The pin indices [start, end) of a locale, by code or by name; (0, 0) where the graph does not know it."""
        if self.locale_bounds is None:
            return 0, 0
        if isinstance(locale, str):
            if self.locales is None or locale not in self.locales:
                return 0, 0
            locale = self.locales.index(locale)
        if not 0 <= locale < self.locale_bounds.size - 1:
            return 0, 0
        return int(self.locale_bounds[locale]), int(self.locale_bounds[locale + 1])
