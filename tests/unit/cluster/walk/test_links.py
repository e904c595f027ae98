"""Links in place of ids: the same walks bit for bit, on disk, and what does not fit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BundleError
from cluster.graph import packing
from cluster.graph.csr import Graph
from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX, FILES, bits, link, linkable, unpack_offsets, write_links
from cluster.walk.walker import Walker, WalkParams


def random_graph(seed: int, boards: int = 40, pins: int = 256, edges: int = 1500) -> Graph:
    """256 pins in three locales: the end of the last range needs a bit more than any id."""
    rng = np.random.default_rng(seed)
    pin = np.minimum(rng.zipf(1.3, edges) - 1, pins - 1)
    return Graph.from_edges(rng.integers(0, boards, edges), pin, boards, pins, pin_locale=rng.integers(0, 3, pins))


def with_links(graph: Graph, degree_bits: int | None = None) -> Graph:
    linked = graph.linked()
    linked.links = link(graph.halves, degree_bits)
    return linked


@pytest.mark.parametrize("degree_bits", [None, 5, 1])
def test_links_tell_what_ids_and_index_tell(degree_bits: int | None) -> None:
    graph = random_graph(1)
    links = link(graph.halves, degree_bits)
    pins = links.board_pins >> np.uint64(links.id_shift)
    assert np.array_equal(pins, graph.board_pins)
    rest = links.board_pins & np.uint64((1 << links.id_shift) - 1)
    assert np.array_equal(rest >> np.uint64(links.degree_bits), graph.pin_offsets[graph.board_pins])
    largest = (1 << links.degree_bits) - 1
    degree = rest & np.uint64(largest)
    assert np.array_equal(degree, np.minimum(graph.pin_degree, largest)[graph.board_pins])
    assert np.array_equal(unpack_offsets(links.pin_boards), graph.board_offsets[graph.pin_boards])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 20),
    st.lists(st.integers(-1, 255), max_size=5),
    st.lists(st.integers(-1, 39), max_size=3),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.integers(0, 2),
    st.sampled_from([None, 5, 1]),
    st.sampled_from([0, 4]),
)
def test_walks_with_links_are_the_same_walks(
    seed: int, pins: list, boards: list, bias: float, locale: int, degree_bits: int | None, n_p: int
) -> None:
    graph = random_graph(seed)
    params = WalkParams(steps=4000, top_k=200, bias_share=bias, n_p=n_p, n_v=n_p, drop_query=False, restart=0.3)
    answers = [
        Walker(one).walk_indices(pins, params=params, seed=seed, boards=boards, bias=one.locale_range(locale))
        for one in (graph, with_links(graph, degree_bits))
    ]
    for name in ("pins", "scores", "visits", "hits", "by_query", "steps"):
        assert np.array_equal(getattr(answers[0], name), getattr(answers[1], name)), name


def test_a_saved_graph_keeps_its_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(3)
    whole = graph.linked().links
    assert whole is not None
    graph.save(tmp_path)
    assert Graph.open(tmp_path).links is None
    monkeypatch.setattr(packing, "CHUNK", 100)
    assert write_links(tmp_path, graph.halves)
    opened = Graph.open(tmp_path)
    assert opened.links is not None
    assert np.array_equal(opened.links.pin_boards, whole.pin_boards)
    assert np.array_equal(opened.links.board_pins, whole.board_pins)
    assert opened.nbytes == graph.nbytes + 8 * graph.n_edges
    copy = tmp_path / "copy"
    opened.save(copy)
    assert Graph.open(copy).links is not None
    graph.save(copy)
    assert Graph.open(copy).links is None


def test_links_of_another_graph_are_refused(tmp_path: Path) -> None:
    graph = random_graph(3)
    other = random_graph(4, edges=1400)
    graph.linked().save(tmp_path)
    short = np.load(tmp_path / FILES[1])[:-1]
    np.save(tmp_path / FILES[1], short)
    with pytest.raises(BundleError, match="links and edges differ in number; build it again"):
        Graph.open(tmp_path)
    links = other.linked().links
    assert links is not None
    for name, array, n in zip(FILES, links[:2], (graph.n_edges, graph.n_edges), strict=True):
        np.save(tmp_path / name, np.resize(array, n))
    with pytest.raises(BundleError, match="links are of another graph; build it again"):
        Graph.open(tmp_path)
    (tmp_path / FILES[1]).unlink()
    with pytest.raises(BundleError, match="build it again"):
        Graph.open(tmp_path)


def test_a_graph_too_large_stays_without(tmp_path: Path) -> None:
    none = np.zeros(0, np.uint64)

    def sized(pins: int, edges: int, board_degree: int) -> packing.Halves:
        ids = np.broadcast_to(np.int32(0), edges)
        return np.broadcast_to(np.uint64(0), pins + 1), ids, np.array([board_degree, 0], np.uint64), ids

    assert linkable(sized(2**27, 2**30, 100))
    assert not linkable(sized(2**30, 2**30, 100))
    assert not linkable(sized(100, 2**25, DEGREE_MAX))
    assert not linkable((none, none.astype(np.int32), none, none.astype(np.int32)))
    assert [linkable(sized(2**18, edges, 1), "auto") for edges in (2**20, 2**27)] == [True, False]
    assert not linkable(sized(2**16, 2**20, 1), "auto")
    assert not write_links(tmp_path, sized(2**30, 2**30, 100))
    assert bits(2**27, 2**30) == (64 - 28, 64 - 28 - 31)
    assert bits(100, 1000)[1] == DEGREE_BITS, "a degree that the index marks as too large is marked in links too"
    empty = Graph.from_edges([], [], 0, 0)
    assert empty.linked().links is None
