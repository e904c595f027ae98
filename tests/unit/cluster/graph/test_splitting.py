"""A graph in parts: every edge in one part, every index as before, and boards that stay when others come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.graph.splitting import part_of_boards, split, with_boards
from cluster.settings.graph import MOST_SHARDS


def random_graph(seed: int, names: bool = False) -> Graph:
    rng = np.random.default_rng(seed)
    ids = [f"board {n}" for n in range(40)] if names else None
    return Graph.from_edges(rng.integers(0, 40, 300), rng.integers(0, 90, 300), 40, 90, board_ids=ids)


def edges_of(graph: Graph) -> list[tuple[int, int]]:
    return [(board, pin) for board in range(graph.n_boards) for pin in graph.pins_of(board).tolist()]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.booleans())
def test_every_edge_lies_in_one_part(seed: int, parts: int, names: bool) -> None:
    graph = random_graph(seed, names)
    found = split(graph, parts)
    assert len(found) == parts
    assert sorted(edge for part in found for edge in edges_of(part)) == edges_of(graph)
    for part in found:
        assert (part.n_pins, part.n_boards) == (graph.n_pins, graph.n_boards)
        assert set(part.board_degree.tolist()) <= {0, *graph.board_degree.tolist()}  # a board is whole, or not there
    assert np.array_equal(sum(part.pin_degree for part in found), graph.pin_degree)


def test_a_board_stays_in_its_part_when_others_come() -> None:
    few = Graph.from_edges([0, 1], [0, 1], 2, 2, board_ids=["b", "d"])
    more = Graph.from_edges([0, 1, 2, 3], [0, 1, 0, 1], 4, 2, board_ids=["a", "b", "c", "d"])
    assert part_of_boards(few, 16).tolist() == part_of_boards(more, 16)[[1, 3]].tolist()


def test_parts_are_of_about_one_size() -> None:
    graph = Graph.from_edges([0], [0], 20_000, 1)
    assert np.bincount(part_of_boards(graph, 8)) == pytest.approx(2500, rel=0.1)


def test_a_board_may_be_in_several_parts() -> None:
    graph = random_graph(3)
    mine = np.zeros(40, bool)
    mine[[2, 7]] = True
    assert edges_of(with_boards(graph, mine)) == [edge for edge in edges_of(graph) if edge[0] in (2, 7)]


@pytest.mark.parametrize("parts", [0, -1, MOST_SHARDS + 1])
def test_no_part_and_too_many_are_refused(parts: int) -> None:
    with pytest.raises(ConfigError, match=f"parts of a graph must be 1..{MOST_SHARDS}, got {parts}"):
        part_of_boards(random_graph(1), parts)
