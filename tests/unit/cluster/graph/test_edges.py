"""Edges by id to distinct ranks, against sets and dicts."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.data.cleaning import Tally
from cluster.data.schema import TIMESTAMP
from cluster.graph.edges import NO_TIME, index_edges, rank
from cluster.graph.ids import IdMap
from cluster.graph.span import Span
from cluster.settings.project import GraphSettings
from tests.worlds.inputs import ids_of

WIDE = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40)
NARROW = st.lists(st.integers(-5, 60), max_size=40)
TEXT = st.lists(st.text(max_size=4), max_size=40)


@given(st.one_of(WIDE, NARROW, TEXT))
@settings(max_examples=60, deadline=None)
def test_rank_is_the_order_among_the_sorted_distinct_ids(values: list[int] | list[str]) -> None:
    kind = pa.string() if values and isinstance(values[0], str) else pa.int64()
    ids, ranks = rank(pa.array(values, kind))
    expected = sorted(set(values), key=lambda v: v.encode() if isinstance(v, str) else v)
    assert ids.to_pylist() == expected
    assert [expected[r] for r in ranks] == values


def _table(edges: list[tuple[int, int, int | None]], kind: str) -> pa.Table:
    boards, pins, times = zip(*edges, strict=True) if edges else ((), (), ())
    saved = pa.array(times, pa.int64()).cast(TIMESTAMP)
    return pa.table({"board_id": ids_of(boards, kind), "pin_id": ids_of(pins, kind), "saved_at": saved})


EDGES = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.one_of(st.none(), st.integers(0, 99))), max_size=60)


@given(EDGES, st.sampled_from(["int64", "string"]), st.integers(1, 3), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_index_edges_against_a_dict(edges: list, kind: str, smallest: int, largest: int) -> None:
    tally = Tally()
    known = IdMap.from_ids(ids_of(range(6), kind))
    found = index_edges(
        _table(edges, kind), GraphSettings(min_board_pins=smallest, max_board_pins=largest), tally, known
    )
    newest: dict[tuple[int, int], int] = {}
    for board, pin, time in edges:
        if pin < 6:
            newest[board, pin] = max(newest.get((board, pin), NO_TIME), NO_TIME if time is None else time)
    sizes = np.bincount([b for b, _ in newest], minlength=9) if newest else np.zeros(9)
    kept = {e: t for e, t in newest.items() if smallest <= sizes[e[0]] <= (largest or 99)}
    boards = found.board_ids.to_pylist()
    pins = found.pin_ids.to_pylist()
    names = {v: n for n, v in enumerate(ids_of(range(9), kind).to_pylist())}
    times = found.saved if found.saved is not None else np.full(len(found.pins), NO_TIME)
    mine = {(names[boards[b]], names[pins[p]]): int(t) for b, p, t in zip(found.boards, found.pins, times, strict=True)}
    assert mine == kept
    assert set(found.boards.tolist()) == set(range(len(boards)))  # no id is left without an edge
    assert sum(tally.dropped.values()) == len(edges) - len(kept)


@given(EDGES, st.lists(st.integers(0, 12), unique=True), st.sampled_from(["int64", "string"]))
@settings(max_examples=50, deadline=None)
def test_pins_without_an_edge_change_no_edge(edges: list, listed: list[int], kind: str) -> None:
    found = index_edges(_table(edges, kind), GraphSettings(), Tally())
    more = found.with_pins(ids_of(sorted(listed), kind))
    names = found.pin_ids.take(pa.array(found.pins)).to_pylist()
    assert more.pin_ids.take(pa.array(more.pins)).to_pylist() == names
    assert set(more.pin_ids.to_pylist()) == {*found.pin_ids.to_pylist(), *ids_of(listed, kind).to_pylist()}
    assert more.pin_ids.to_pylist() == rank(more.pin_ids)[0].to_pylist()  # ascending
    assert (np.diff(more.boards.astype(np.int64) << 32 | more.pins) > 0).all()
    span = Span.of(_table(edges, kind)["saved_at"])
    for counts, before in zip(more.pin_counts(span), found.pin_counts(span), strict=True):
        assert len(counts) == len(more.pin_ids)
        assert counts.sum() == before.sum()
    assert found.with_pins(None) is found


def test_pin_counts_cover_the_newest_tenth() -> None:
    table = _table([(1, 1, 0), (2, 1, 90), (3, 1, None), (1, 2, 100), (2, 2, 89)], "int64")
    dated, recent = index_edges(table, GraphSettings(), Tally()).pin_counts(Span.of(table["saved_at"]))
    assert dated.tolist() == [2, 2]
    assert recent.tolist() == [1, 1]


@pytest.mark.parametrize("kind", ["int64", "string"])
def test_no_edges_at_all(kind: str) -> None:
    found = index_edges(_table([], kind), GraphSettings(), Tally())
    assert len(found.pins) == len(found.board_ids) == len(found.pin_ids) == 0
