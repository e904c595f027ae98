"""Who saved what, as a sparse matrix of boards times pins: what measures of likeness on boards are computed from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from cluster.graph.csr import Graph
from cluster.similarity.sparse import scaled


@dataclass(frozen=True)
class Saves:
    """float32[B, P] of 0 and 1. Boards beyond a size are left out: they say little, and cost their square."""

    by_board: sp.csr_array

    @classmethod
    def of(cls, graph: Graph, most_pins: int = 0) -> "Saves":
        """The edges of a graph, without boards of more than `most_pins` pins (0: all boards)."""
        offsets = np.append(0, np.cumsum(graph.board_degree)).astype(np.int64)
        shape = (graph.n_boards, graph.n_pins)
        matrix = sp.csr_array((np.ones(graph.n_edges, np.float32), graph.board_pins, offsets), shape)
        if most_pins:
            matrix = matrix[np.flatnonzero(graph.board_degree <= most_pins)]
        return cls(matrix)

    def of_pins(self, pins: np.ndarray) -> "Saves":
        """The saves of these pins alone, int[m] ascending, which become pins 0 .. m-1."""
        return self if len(pins) == self.by_board.shape[1] else Saves(self.by_board[:, pins])

    @cached_property
    def by_pin(self) -> sp.csr_array:
        """float32[P, B]."""
        return self.by_board.T.tocsr()

    @cached_property
    def degree(self) -> np.ndarray:
        """float64[P], boards of each pin."""
        return np.diff(self.by_pin.indptr).astype(np.float64)

    @cached_property
    def size(self) -> np.ndarray:
        """float64[B], pins of each board."""
        return np.diff(self.by_board.indptr).astype(np.float64)

    @cached_property
    def board_share(self) -> sp.csr_array:
        """float32[B, P], the rows of `by_board` divided by their sum: from a board to each of its pins."""
        return scaled(self.by_board, np.repeat(1.0 / np.maximum(self.size, 1.0), np.diff(self.by_board.indptr)))

    def prepared(self) -> "Saves":
        """Itself, with everything computed that is computed once: as workers should get it."""
        _ = self.by_pin, self.board_share, self.degree
        return self

    def together(self, pins: np.ndarray) -> sp.csr_array:
        """float32[len(pins), P]: on how many boards each of `pins` stands together with each pin."""
        return (self.by_pin[pins] @ self.by_board).tocsr()
