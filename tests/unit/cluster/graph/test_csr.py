"""The CSR graph: against sets of edges, on disk, locale ranges, packing at its limits."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BundleError, DataError
from cluster.graph.csr import Graph
from cluster.graph.packing import DEGREE_MAX, pack_offsets, unpack_offsets

EDGES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=60)


def halves(graph: Graph) -> tuple[list, list]:
    """Edges as each half tells them, board first, in stored order."""
    by_pin = [
        (int(b), p)
        for p in range(graph.n_pins)
        for b in graph.pin_boards[graph.pin_offsets[p] : graph.pin_offsets[p + 1]]
    ]
    by_board = [
        (b, int(p))
        for b in range(graph.n_boards)
        for p in graph.board_pins[graph.board_offsets[b] : graph.board_offsets[b + 1]]
    ]
    return by_pin, by_board


@settings(max_examples=80, deadline=None)
@given(EDGES)
def test_both_halves_hold_each_edge_once_and_sorted(edges: list) -> None:
    boards, pins = np.array(edges, np.int64).reshape(-1, 2).T
    graph = Graph.from_edges(boards, pins, 7, 10)
    by_pin, by_board = halves(graph)
    assert by_board == sorted(set(edges))
    assert by_pin == sorted(set(edges), key=lambda e: (e[1], e[0]))
    assert graph.n_edges == len(set(edges)) == graph.pin_degree.sum() == graph.board_degree.sum()


@settings(max_examples=40, deadline=None)
@given(EDGES, st.lists(st.integers(0, 2), min_size=10, max_size=10))
def test_locales_are_ranges_and_edges_stay_the_same_by_id(edges: list, codes: list) -> None:
    boards, pins = np.array(edges, np.int64).reshape(-1, 2).T
    names = [f"pin-{i}" for i in range(10)]
    graph = Graph.from_edges(boards, pins, 7, 10, pin_ids=names, pin_locale=codes, locales=["de", "fr", "ja"])
    for code, locale in enumerate(["de", "fr", "ja"]):
        start, end = graph.locale_range(locale)
        assert graph.locale_range(code) == (start, end)
        assert graph.pin_ids.ids_of(np.arange(start, end)).tolist() == [
            n for n, c in zip(names, codes, strict=True) if c == code
        ]
    by_id = {(b, str(graph.pin_ids.ids_of([p])[0])) for b, p in halves(graph)[1]}
    assert by_id == {(b, names[p]) for b, p in edges}


def test_an_unknown_locale_is_an_empty_range() -> None:
    assert Graph.from_edges([0], [0], 1, 1).locale_range("de") == (0, 0)
    graph = Graph.from_edges([0], [0], 1, 1, pin_locale=[0], locales=["de"])
    assert (graph.locale_range("xx"), graph.locale_range(7)) == ((0, 0), (0, 0))


def test_saved_graph_maps_back(tmp_path: Path) -> None:
    graph = Graph.from_edges(
        [0, 1, 1], [2, 0, 2], 2, 3, pin_ids=["a", "b", "c"], pin_locale=[1, 0, 1], locales=["de", "fr"]
    )
    graph.save(tmp_path)
    again = Graph.open(tmp_path)
    assert halves(again) == halves(graph)
    assert again.pin_ids.ids_of([0, 1, 2]).tolist() == ["b", "a", "c"]
    assert again.locale_range("fr") == (1, 3)
    assert isinstance(again.pin_boards.base.base, np.memmap) or isinstance(again.pin_boards.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        again.pin_boards[0] = 1


@pytest.mark.parametrize("damage", ["missing", "meta", "halves", "dtype", "truncated"])
def test_damaged_graphs_are_bundle_errors(tmp_path: Path, damage: str) -> None:
    Graph.from_edges([0, 1, 1], [2, 0, 2], 2, 3).save(tmp_path)
    file = tmp_path / "pin_boards.npy"
    if damage == "missing":
        file.unlink()
    elif damage == "meta":
        meta = json.loads((tmp_path / "graph.json").read_text())
        (tmp_path / "graph.json").write_text(json.dumps(meta | {"n_edges": 2}))
    elif damage == "halves":
        np.save(file, np.zeros(2, np.int32))
    elif damage == "dtype":
        np.save(file, np.zeros(3, np.int64))
    else:
        file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(BundleError, match="build it again"):
        Graph.open(tmp_path)


@pytest.mark.parametrize(("boards", "pins"), [([0, 2], [0, 0]), ([0], [-1]), ([0], [0, 1])])
def test_bad_edges_are_data_errors(boards: list, pins: list) -> None:
    with pytest.raises(DataError):
        Graph.from_edges(boards, pins, 2, 2)


def test_packing_keeps_offsets_beyond_32_bits_and_caps_degrees() -> None:
    offsets = np.array([0, 5, 5 + DEGREE_MAX + 9, 2**33, 2**39, 2**39], np.int64)
    packed = pack_offsets(offsets)
    assert unpack_offsets(packed).tolist() == offsets.tolist()
    assert (packed & np.uint64(DEGREE_MAX)).tolist() == [5, DEGREE_MAX, DEGREE_MAX, DEGREE_MAX, 0, 0]
