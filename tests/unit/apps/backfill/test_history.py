"""History as flat columns: the moments and the past that a slow reading of the same events gives."""

import numpy as np
import pyarrow as pa
import pytest

from apps.backfill.history import PastEvents


def make(seed: int, ids: str) -> tuple[PastEvents, list[tuple]]:
    """Events in a random order, some at the same time, and the same as rows sorted by user and time."""
    rng = np.random.default_rng(seed)
    name = (lambda i: int(i)) if ids == "int64" else (lambda i: f"x{i}")
    rows = [
        (name(rng.integers(7)), name(rng.integers(50)), "save", None if i % 3 else "ads", int(rng.integers(1, 90)))
        for i in range(200)
    ]
    names = ("user_id", "pin_id", "action", "client", "occurred_at")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    at = table.column_names.index("occurred_at")
    table = table.set_column(at, "occurred_at", table["occurred_at"].cast(pa.timestamp("us", tz="UTC")))
    table = table.set_column(3, "client", table["client"].cast(pa.string()))
    return PastEvents.of(table), sorted(rows, key=lambda row: (row[0], row[4]))


@pytest.mark.parametrize("ids", ["int64", "string"])
def test_the_past_of_a_user_is_that_of_a_slow_reading(ids: str) -> None:
    history, rows = make(1, ids)
    for row in (0, 57, len(rows) - 1):
        begin, end = history.bounds(row)
        assert [r[0] == rows[row][0] for r in rows] == [begin <= i < end for i in range(len(rows))]
        known = history.known(begin, end)
        assert history.user(row) == rows[row][0]
        assert known.pins.tolist() == [r[1] for r in rows[begin:end]]  # equal times: in the order of the file
        assert known.clients.tolist() == [r[3] or "" for r in rows[begin:end]]


@pytest.mark.parametrize("every", [1, 3])
def test_moments_are_those_of_a_slow_reading(every: int) -> None:
    history, rows = make(2, "int64")
    wanted = []
    for user in {row[0] for row in rows}:
        inside = [i for i, row in enumerate(rows) if row[0] == user and 20 <= row[4] < 70]
        seen: set[int] = set()
        for i in inside[::every]:
            if rows[i][4] not in seen:
                wanted.append(i)
            seen.add(rows[i][4])
    found = history.moments(20, 70, every)
    assert sorted(found.tolist()) == sorted(wanted)
    assert (np.diff(history.at[found]) >= 0).all()
