"""Histories kept in bounded memory equal histories of all events at once."""

import numpy as np
import pyarrow as pa
import pytest

from cluster.catalog import history
from cluster.catalog.history import NOT_IN_GRAPH, REPEATED_EVENT, NewestActions
from cluster.data.cleaning import Tally
from cluster.graph.ids import IdMap
from tests.worlds.inputs import times_of


def events(n: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "user_id": rng.integers(0, 30, n),
            "pin_id": rng.integers(0, 50, n),
            "action": pa.array(rng.choice(["save", "click"], n)),
            "occurred_at": times_of(rng.permutation(n)),
            "event_id": pa.array([f"e{i}" for i in rng.integers(0, n, n)]),
            "client": pa.nulls(n, pa.string()),
        }
    )


def test_compaction_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table, pins = events(3000), IdMap.from_ids(np.arange(45))
    distinct = table.set_column(4, "event_id", pa.array([f"e{i}" for i in range(3000)]))
    at_once = NewestActions(5, pins, Tally())
    at_once.feed(distinct)
    expected = at_once.finish()
    monkeypatch.setattr(history, "COMPACT_ROWS", 200)
    tally = Tally()
    by_batch = NewestActions(5, pins, tally)
    for start in range(0, 3000, 130):
        by_batch.feed(distinct.slice(start, 130))
        assert sum(map(len, by_batch._tables)) <= 200 + 30 * 5 + 130
    found = by_batch.finish()
    assert expected is not None
    assert found is not None
    assert tally.dropped[NOT_IN_GRAPH] == int((distinct["pin_id"].to_numpy() >= 45).sum())
    for name in ("offsets", "pins", "occurred_at"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    assert np.diff(found.offsets).max() == 5


def test_an_event_counts_once() -> None:
    tally, recent = Tally(), NewestActions(100, IdMap.from_ids(np.arange(50)), Tally())
    recent._tally = tally
    table = events(400)
    recent.feed(table)
    found = recent.finish()
    assert found is not None
    distinct = len(set(table["event_id"].to_pylist()))
    assert len(found.pins) == distinct
    assert tally.dropped[REPEATED_EVENT] == 400 - distinct


def test_no_events_is_no_history() -> None:
    recent = NewestActions(4, IdMap.from_ids(np.arange(3)), Tally())
    assert recent.finish() is None
    recent.feed(events(0))
    assert recent.finish() is None
