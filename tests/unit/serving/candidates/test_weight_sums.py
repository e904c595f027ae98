"""Sums over rows and edges, against dictionaries."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.graph.csr import Graph
from cluster.similarity.neighbours import Neighbours
from serving.candidates.weight_sums import MOST_EDGES, WeightSums, best, warm


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(2, 40),
    k=st.integers(1, 6),
    rows=st.integers(0, 9),
    cold=st.integers(0, 5),
)
def test_rows_add_up(seed: int, n: int, k: int, rows: int, cold: int) -> None:
    rng = np.random.default_rng(seed)
    ids = np.stack([np.append(rng.permutation(n)[: min(k, n)], [-1] * (k - min(k, n))) for _ in range(n)])
    ids[rng.random(n) < 0.3, -1] = -1
    table = Neighbours(ids.astype(np.int32), rng.normal(size=ids.shape).astype(np.float32))
    table = table.of_pins(np.arange(n), n + cold)  # the last pins have no row
    picked, share = rng.integers(0, n + cold, rows), rng.random(rows).astype(np.float32)
    expected: dict[int, float] = defaultdict(float)
    for row, part in zip(picked.tolist(), share.tolist(), strict=True):
        if row >= n:
            continue
        for pin, weight in zip(table.ids[row].tolist(), table.weights[row].tolist(), strict=True):
            if pin < 0:
                break
            expected[pin] += part * weight
    sums = WeightSums(n)
    sums.add_rows(table, picked, share)
    reached, total, origin = sums.take()
    assert sorted(reached.tolist()) == sorted(expected)
    assert total == pytest.approx([expected[pin] for pin in reached.tolist()], rel=1e-4, abs=1e-5)
    for pin, at in zip(reached.tolist(), origin.tolist(), strict=True):
        assert pin in table.ids[picked[at]]
    assert len(sums.take()[0]) == 0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), nodes=st.integers(0, 6))
def test_edges_add_up(seed: int, nodes: int) -> None:
    rng = np.random.default_rng(seed)
    boards, pins = rng.integers(0, 12, 80), rng.integers(0, 20, 80)
    graph = Graph.from_edges(boards, pins, 12, 20)
    picked, share = rng.integers(0, 20, nodes), rng.random(nodes).astype(np.float32)
    expected: dict[int, float] = defaultdict(float)
    for pin, part in zip(picked.tolist(), share.tolist(), strict=True):
        for board in set(boards[pins == pin].tolist()):
            expected[board] += part
    sums = WeightSums(20)
    sums.add_edges(graph.pin_index, graph.pin_boards, picked, share)
    reached, total, _ = sums.take()
    assert sorted(reached.tolist()) == sorted(expected)
    assert total == pytest.approx([expected[board] for board in reached.tolist()], rel=1e-4)


def test_of_a_hub_every_nth_edge_is_read_for_n() -> None:
    n = 3 * MOST_EDGES
    graph = Graph.from_edges(np.zeros(n, np.int64), np.arange(n), 1, n)
    sums = WeightSums(n)
    sums.add_edges(graph.board_index, graph.board_pins, np.zeros(1, np.int32), np.ones(1, np.float32))
    reached, total, _ = sums.take()
    assert len(reached) == MOST_EDGES
    assert total.tolist() == [3.0] * MOST_EDGES


@given(seed=st.integers(0, 1000), n=st.integers(0, 50), budget=st.integers(1, 60))
def test_the_best_are_those_of_a_sort(seed: int, n: int, budget: int) -> None:
    score = np.random.default_rng(seed).integers(-3, 9, n).astype(np.float32)
    rows = best(score, budget)
    expected = [row for row in np.argsort(-score, kind="stable").tolist() if score[row] > 0][:budget]
    assert sorted(score[rows].tolist(), reverse=True) == score[rows].tolist() == score[expected].tolist()


def test_warming_leaves_nothing_behind() -> None:
    warm()
    assert len(WeightSums(5).take()[0]) == 0
