"""A graph that was built wrong, with checksums that are right: every index that leads outside is found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BundleError
from cluster.graph import bounds, checks
from cluster.graph.bounds import check_offsets, check_within
from cluster.graph.checks import check_graph
from cluster.graph.csr import Graph
from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX

N_PINS, N_BOARDS = 40, 12
FILES = ("pin_index", "pin_boards", "board_index", "board_pins")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, so that their seams are tried too."""
    monkeypatch.setattr(bounds, "CHUNK", 7)
    monkeypatch.setattr(checks, "CHUNK", 7)


def made(links: bool = False, texts: bool = False) -> Graph:
    rng = np.random.default_rng(0)
    ids = {"pin_ids": [f"pin {i}" for i in range(N_PINS)]} if texts else {}
    boards = np.concatenate([rng.integers(0, N_BOARDS, 150), np.arange(N_BOARDS)])
    pins = np.concatenate([rng.integers(0, N_PINS, 150), np.arange(N_BOARDS)])
    graph = Graph.from_edges(boards, pins, N_BOARDS, N_PINS, pin_locale=np.arange(N_PINS) % 3, **ids)
    return graph.linked() if links else graph


def stored_wrong(folder: Path, graph: Graph, name: str, change: Callable[[np.ndarray], None]) -> Graph:
    """The graph as a builder would have stored it that got one array wrong."""
    graph.save(folder)
    array = np.load(folder / f"{name}.npy")
    change(array)
    np.save(folder / f"{name}.npy", array)
    return Graph.open(folder)


@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize("texts", [False, True])
def test_a_sound_graph_passes(links: bool, texts: bool) -> None:
    check_graph(made(links, texts))
    empty = Graph.from_edges(np.empty(0, np.int32), np.empty(0, np.int32), 3, 5)
    check_graph(empty)


@pytest.mark.parametrize("bit", [13, 20, 30, 31])
@pytest.mark.parametrize("name", ["pin_boards", "board_pins"])
def test_a_high_bit_of_a_target_is_found(tmp_path: Path, name: str, bit: int) -> None:
    def flip(array: np.ndarray) -> None:
        array.view(np.uint32)[array.size // 2] ^= np.uint32(1 << bit)

    graph = stored_wrong(tmp_path, made(), name, flip)
    with pytest.raises(BundleError, match="lead outside 0"):
        check_graph(graph)


@pytest.mark.parametrize("bit", [0, 5, DEGREE_BITS, 40, 63])
@pytest.mark.parametrize("name", ["pin_index", "board_index"])
def test_any_bit_of_an_offset_or_a_degree_is_found(tmp_path: Path, name: str, bit: int) -> None:
    def flip(array: np.ndarray) -> None:
        array[array.size // 2] ^= np.uint64(1 << bit)

    with pytest.raises(BundleError, match=r"edges of (pins|boards)"):
        check_graph(stored_wrong(tmp_path, made(), name, flip))


def test_a_target_without_edges_of_its_own_is_found(tmp_path: Path) -> None:
    lonely = Graph.from_edges(np.array([0, 0, 1]), np.array([0, 1, 1]), 3, 2)

    def lead_there(array: np.ndarray) -> None:
        array[0] = 2

    with pytest.raises(BundleError, match="some without an edge"):
        check_graph(stored_wrong(tmp_path, lonely, "pin_boards", lead_there))


@pytest.mark.parametrize(
    ("name", "kept", "added"),
    [
        ("pin_links", ~0, 1 << 40),  # an offset beyond the edges
        ("pin_links", ~DEGREE_MAX, 0),  # no edges
        ("board_links", ~0, 1 << 45),
        ("board_links", ~DEGREE_MAX, 0),
        ("board_links", ~0, 63 << 58),  # a pin that there is not
    ],
)
def test_a_link_that_leads_outside_is_found(tmp_path: Path, name: str, kept: int, added: int) -> None:
    def change(array: np.ndarray) -> None:
        seen = set(np.linspace(0, array.size - 1, 64).astype(int).tolist())  # those are looked at when a graph opens
        row = next(row for row in range(array.size) if row not in seen)
        array[row] = array[row] & np.uint64(kept & (2**64 - 1)) | np.uint64(added)

    graph = stored_wrong(tmp_path, made(links=True), name, change)
    with pytest.raises(BundleError, match="links to"):
        check_graph(graph)


@pytest.mark.parametrize("name", ["pins.offsets", "pins.order", "locale_bounds"])
def test_ids_and_locales_that_lead_outside_are_found(tmp_path: Path, name: str) -> None:
    def grow(array: np.ndarray) -> None:
        array[array.size // 2] += 1 << 20

    with pytest.raises(BundleError, match="build the graph again"):
        check_graph(stored_wrong(tmp_path, made(texts=True), name, grow))


@given(st.lists(st.integers(-3, 12), max_size=30), st.integers(-2, 2), st.integers(3, 10))
def test_bounds_are_what_they_say(values: list[int], low: int, high: int) -> None:
    array = np.array(values, np.int32)
    if all(low <= value < high for value in values):
        check_within("these", array, low, high)
    else:
        with pytest.raises(BundleError, match=f"these lead outside {low}..{high - 1}"):
            check_within("these", array, low, high)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_offsets_rise_from_0_to_their_end(values: list[int]) -> None:
    array = np.array(values, np.int64)
    if values[0] == 0 and values == sorted(values):
        check_offsets("these", array, values[-1])
        with pytest.raises(BundleError):
            check_offsets("these", array, values[-1] + 1)
    else:
        with pytest.raises(BundleError, match="these"):
            check_offsets("these", array, values[-1])


def test_what_are_no_whole_numbers_is_refused() -> None:
    with pytest.raises(BundleError, match="not whole numbers"):
        check_within("these", np.ones(3), 0, 2)
    with pytest.raises(BundleError, match="no flat row"):
        check_offsets("these", np.zeros((2, 2), np.int64), 0)
    with pytest.raises(BundleError, match="no flat row"):
        check_offsets("these", np.empty(0, np.int64), 0)
