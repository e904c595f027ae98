"""Pruning: which boards and edges go, by hand and against a plain restatement."""

import numpy as np
import pytest

from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.graph.prune import board_topics, entropy, prune


def edges_of(graph: Graph) -> set[tuple[int, int]]:
    return {
        (b, int(p))
        for b in range(graph.n_boards)
        for p in graph.board_pins[graph.board_offsets[b] : graph.board_offsets[b + 1]]
    }


def sample() -> tuple[Graph, np.ndarray]:
    rng = np.random.default_rng(3)
    graph = Graph.from_edges(
        rng.integers(0, 30, 600), rng.integers(0, 80, 600), 32, 80, pin_locale=rng.integers(0, 2, 80)
    )
    return graph, rng.dirichlet(np.full(5, 0.2), 80).astype(np.float32)


def test_entropy_by_hand() -> None:
    assert np.allclose(entropy(np.array([[1, 1], [2, 0], [0, 0]], np.float32)), [np.log(2), 0, 0])


def test_mixed_boards_go_first() -> None:
    topics = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
    graph = Graph.from_edges([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 0, 2], 3, 4)
    assert edges_of(prune(graph, topics, drop_boards=0.34, delta=1.0)) == {(0, 0), (0, 1), (1, 2), (1, 3)}


def test_popular_pins_keep_their_most_similar_boards() -> None:
    graph, topics = sample()
    vectors = board_topics(graph, topics)
    pruned = prune(graph, topics, drop_boards=0.0, delta=0.6)
    for pin in range(80):
        boards = graph.pin_boards[graph.pin_offsets[pin] : graph.pin_offsets[pin + 1]]
        cosine = [
            float(topics[pin] @ vectors[b] / np.linalg.norm(topics[pin]) / np.linalg.norm(vectors[b])) for b in boards
        ]
        kept = pruned.pin_boards[pruned.pin_offsets[pin] : pruned.pin_offsets[pin + 1]]
        assert kept.size == (int(np.ceil(boards.size**0.6)) if boards.size else 0)
        lost = [c for b, c in zip(boards, cosine, strict=True) if b not in kept]
        assert not lost or min(c for b, c in zip(boards, cosine, strict=True) if b in kept) >= max(lost) - 1e-6


def test_nothing_goes_when_nothing_is_asked_and_ids_stay() -> None:
    graph, topics = sample()
    same = prune(graph, topics, drop_boards=0.0, delta=1.0)
    assert edges_of(same) == edges_of(graph)
    assert same.locale_range(1) == graph.locale_range(1)
    assert same.pin_ids is graph.pin_ids


@pytest.mark.parametrize(
    "bad",
    [
        {"drop_boards": 1.0},
        {"delta": 0.0},
        {"topics": np.zeros((3, 2), np.float32)},
        {"topics": np.full((80, 2), np.nan, np.float32)},
    ],
)
def test_bad_settings_are_refused(bad: dict) -> None:
    graph, topics = sample()
    with pytest.raises(ConfigError, match="pruning needs"):
        prune(graph, **({"topics": topics} | bad))
