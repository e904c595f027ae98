"""A day's edges merged in: the same graph by id as a full build of both days."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.data.cleaning import Tally
from cluster.graph.csr import Graph
from cluster.graph.edges import index_edges
from cluster.graph.ids import IdMap
from cluster.graph.incremental import ALREADY_THERE, add_edges, held, moved_pins
from cluster.graph.packing import Wanted
from cluster.settings.project import GraphSettings
from tests.worlds.inputs import ids_of

LOCALES = ["de", "us", ""]
EDGES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40)


def table(edges: list[tuple[int, int]], kind: str) -> pa.Table:
    boards, pins = zip(*edges, strict=True) if edges else ((), ())
    return pa.table({"board_id": ids_of(boards, kind), "pin_id": ids_of(pins, kind)})


def locale_of(pin_ids: pa.Array) -> list[str | None]:
    return [("de", "us", None, "fr")[len(str(pin)) % 4] for pin in pin_ids.to_pylist()]


def codes_of(pin_ids: pa.Array) -> list[int]:
    return [LOCALES.index(name) if name in LOCALES else 2 for name in locale_of(pin_ids)]


def built(edges: list[tuple[int, int]], kind: str, localised: bool) -> Graph:
    found = index_edges(table(edges, kind), GraphSettings(), Tally())
    locales = {"pin_locale": codes_of(found.pin_ids), "locales": LOCALES} if localised else {}
    n_boards = len(found.board_ids)
    n_pins = len(found.pin_ids)
    maps = IdMap.from_ids(found.pin_ids), IdMap.from_ids(found.board_ids)
    return Graph.from_edges(found.boards, found.pins, n_boards, n_pins, *maps, **locales)


def by_id(graph: Graph) -> tuple[set, set]:
    """Edges as seen from either side; rows must be ascending."""
    sides = []
    for offsets, values, rows, others in (
        (graph.board_offsets, graph.board_pins, graph.board_ids, graph.pin_ids),
        (graph.pin_offsets, graph.pin_boards, graph.pin_ids, graph.board_ids),
    ):
        row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        steps = np.diff(values.astype(np.int64))
        assert (steps[row[1:] == row[:-1]] > 0).all()
        sides.append(set(zip(rows.ids_of(row).tolist(), others.ids_of(values).tolist(), strict=True)))
    return sides[0], sides[1]


@given(EDGES.filter(bool), EDGES, st.sampled_from(["int64", "string"]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_adding_equals_building_from_both(
    tmp_path_factory: pytest.TempPathFactory, old: list, new: list, kind: str, localised: bool
) -> None:
    before = built(old, kind, localised)
    folder = tmp_path_factory.mktemp("merged")
    tally = Tally()
    merged = add_edges(before, table(new, kind), folder, tally, locale_of=locale_of if localised else None)
    expected = built(old + new, kind, localised)
    assert by_id(merged) == by_id(expected)
    assert (merged.n_pins, merged.n_boards) == (expected.n_pins, expected.n_boards)
    there = np.arange(before.n_pins)
    assert merged.pin_ids.ids_of(moved_pins(before, merged)).tolist() == before.pin_ids.ids_of(there).tolist()
    assert tally.dropped[ALREADY_THERE] == len(set(old) & set(new))
    indexed = index_edges(table(new, kind), GraphSettings(), Tally())
    assert held(before, indexed).sum() == len(set(old) & set(new))
    assert held(merged, indexed).all()
    if localised:
        for name in LOCALES:
            mine = merged.locale_range(name)
            theirs = expected.locale_range(name)
            assert set(merged.pin_ids.ids_of(np.arange(*mine))) == set(expected.pin_ids.ids_of(np.arange(*theirs)))


@pytest.mark.parametrize("wanted", ["yes", "no"])
def test_a_graph_with_links_keeps_having_them(tmp_path: Path, wanted: Wanted) -> None:
    before = built([(1, 1), (1, 2), (2, 2)], "int64", False).linked(wanted)
    merged = add_edges(before, table([(2, 9), (1, 1)], "int64"), tmp_path, Tally())
    assert merged.n_edges == 4
    expected = merged.linked(wanted).links
    if expected is None:
        assert merged.links is None
    else:
        assert merged.links is not None
        assert np.array_equal(merged.links.board_pins, expected.board_pins)
        assert np.array_equal(merged.links.pin_boards, expected.pin_boards)


def test_unknown_pins_are_counted(tmp_path: Path) -> None:
    tally = Tally()
    known = IdMap.from_ids(ids_of(range(3), "int64"))
    merged = add_edges(
        built([(1, 1)], "int64", False), table([(1, 2), (1, 9)], "int64"), tmp_path, tally, known_pins=known
    )
    assert merged.n_edges == 2
    assert sum(tally.dropped.values()) == 1
