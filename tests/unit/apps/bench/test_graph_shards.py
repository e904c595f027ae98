"""What the bench of graphs in shards compares with: boards dealt by shared pins, and visits without noise."""

import numpy as np
import pytest

from apps.bench.walk.graph_shards import _expected, _stays
from apps.bench.walk.near_parts import SLACK, near_parts
from cluster.graph.csr import Graph
from cluster.graph.splitting import split, with_boards

GROUPS = 4


@pytest.fixture(scope="module")
def graph() -> Graph:
    """80 boards on four groups of 50 pins, none of them in two."""
    rng = np.random.default_rng(1)
    boards = np.repeat(np.arange(80), 12)
    return Graph.from_edges(boards, boards % GROUPS * 50 + rng.integers(0, 50, boards.size), 80, 200)


def test_boards_that_share_pins_come_into_one_part_of_about_one_size(graph: Graph) -> None:
    part = near_parts(graph, GROUPS)
    sizes = np.bincount(part, graph.board_degree, GROUPS)
    assert sizes.max() <= SLACK * sizes.mean() + graph.board_degree.max()
    assert all(len(set(part[group::GROUPS].tolist())) == 1 for group in range(GROUPS))


def test_a_walk_stays_where_nothing_is_cut_off(graph: Graph) -> None:
    part = near_parts(graph, GROUPS)
    near = [with_boards(graph, part == at) for at in range(GROUPS)]
    by_chance = split(graph, GROUPS)
    assert _stays(near, graph) == 1.0
    assert _stays(by_chance, graph) == pytest.approx(1 / GROUPS, abs=0.1)
    pins = np.array([3, 60], np.int32)
    whole = _expected(pins, [graph], graph)
    reached = 100 - pins.size  # pins of the two groups
    assert np.array_equal(_expected(pins, near, graph)[:reached], whole[:reached])
    assert not np.array_equal(_expected(pins, by_chance, graph)[:reached], whole[:reached])
