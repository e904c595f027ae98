"""Graph pruning of the Pixie paper: mixed boards go, popular pins keep their most similar boards. Knows no walks.

Both rules read topic vectors: non-negative float32[n_pins, T], one row a pin (genres, an LDA mixture, ...). A board's
vector is the mean of its pins' normalised vectors.
"""

from __future__ import annotations

import numpy as np

from cluster.errors import ConfigError
from cluster.graph.csr import Graph


def board_topics(graph: Graph, topics: np.ndarray) -> np.ndarray:
    """float32[n_boards, T]: mean of the normalised topic vectors of each board's pins; 0 for boards without pins."""
    shares = _normalised(topics)
    board = np.repeat(np.arange(graph.n_boards), graph.board_degree)
    columns = [np.bincount(board, shares[graph.board_pins, t], graph.n_boards) for t in range(topics.shape[1])]
    return np.asarray(np.stack(columns, 1) / np.maximum(graph.board_degree, 1)[:, None], np.float32)


def entropy(distributions: np.ndarray) -> np.ndarray:
    """float64[n]: entropy in nats of each row, after normalising it; 0 for rows of zeros."""
    shares = _normalised(distributions).astype(np.float64)
    return np.asarray(-(shares * np.log(np.maximum(shares, 1e-30))).sum(1))


def prune(graph: Graph, topics: np.ndarray, drop_boards: float = 0.1, delta: float = 0.9) -> Graph:
    """A graph with the same pins, boards and ids, and fewer edges.

    drop_boards: share of the boards with pins, those of the highest topic entropy, that lose all edges. delta: a pin of
    degree d keeps its ceil(d^delta) boards of the highest cosine similarity (1: all). Raises ConfigError.
    """
    if not (0.0 <= drop_boards < 1.0 and 0.0 < delta <= 1.0):
        raise ConfigError(f"pruning needs drop_boards in 0..1 and delta in 0..1, got {drop_boards} and {delta}")
    if topics.ndim != 2 or topics.shape[0] != graph.n_pins or not bool(np.all(np.isfinite(topics) & (topics >= 0))):
        raise ConfigError(f"pruning needs finite, non-negative topic vectors of shape ({graph.n_pins}, topics)")
    boards = board_topics(graph, topics)
    used = np.flatnonzero(graph.board_degree > 0)
    order = used[np.argsort(-entropy(boards[used]), kind="stable")]
    kept_board = np.ones(graph.n_boards, np.bool_)
    kept_board[order[: int(order.size * drop_boards)]] = False
    pins = np.repeat(np.arange(graph.n_pins, dtype=np.int32), graph.pin_degree)
    keep = kept_board[graph.pin_boards]
    pins = pins[keep]
    edge_boards = graph.pin_boards[keep]
    unit_pins, unit_boards = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (topics, boards))
    similarity = np.zeros(pins.size, np.float32)
    for t in range(topics.shape[1]):  # topic by topic: memory stays a few words an edge
        similarity += unit_pins[pins, t] * unit_boards[edge_boards, t]
    best_first = np.lexsort((-similarity, pins))
    degree = np.bincount(pins, minlength=graph.n_pins)
    rank = np.arange(pins.size) - np.repeat(np.cumsum(degree) - degree, degree)
    chosen = best_first[rank < np.repeat(np.ceil(degree.astype(np.float64) ** delta), degree)]
    slim = Graph.from_edges(
        edge_boards[chosen], pins[chosen], graph.n_boards, graph.n_pins, graph.pin_ids, graph.board_ids
    )
    return Graph(
        slim.pin_index,
        slim.pin_boards,
        slim.board_index,
        slim.board_pins,
        slim.pin_ids,
        slim.board_ids,
        graph.locale_bounds,
        graph.locales,
    )


def _normalised(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(rows.sum(1, keepdims=True), 1e-30), np.float32)
