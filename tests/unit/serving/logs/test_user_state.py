"""Users' state: what is written by one process is what others read, bounded, fresh, and rebuilt after a restart."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.logs.live_state import ANSWERS
from serving.logs.state_folder import FRESH, POINTER, StatePublisher, StateReader
from serving.logs.user_state import UserStates
from serving.request.ask import ShownPins

START = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


def act(user: int | str, pin: int | str, action: str = "save", second: int = 0) -> Row:
    at = (START + timedelta(seconds=second)).isoformat()
    return {"user_id": user, "pin_id": pin, "action": action, "client": "homefeed", "occurred_at": at}


def table_of(rows: list[Row]) -> pa.Table:
    moments = [datetime.fromisoformat(row["occurred_at"]) for row in rows]
    names = ("user_id", "pin_id", "action", "client")
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in names}
    types = {"user_id": pa.int64(), "pin_id": pa.int64()}
    arrays = {name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()}
    return pa.table({**arrays, "occurred_at": pa.array(moments, pa.timestamp("us", tz="UTC"))})


def slow_state(rows: list[Row], user: int, remember: int, hidden: int) -> tuple[list[Any], list[Any]]:
    """The obvious version: sort everything, newest first, later rows first among equal times."""
    mine = [(row["occurred_at"], at, row) for at, row in enumerate(rows) if row["user_id"] == user]
    newest = [row for _, _, row in sorted(mine, key=lambda each: (each[0], each[1]), reverse=True)]
    hides = dict.fromkeys(row["pin_id"] for _, _, row in reversed(mine) if row["action"] == "hide")
    return [(row["pin_id"], row["action"]) for row in newest[:remember]], list(hides)[:hidden]


ROWS = st.lists(
    st.builds(act, st.integers(0, 2), st.integers(0, 5), st.sampled_from(["save", "click", "hide"]), st.integers(0, 6)),
    max_size=40,
)


@given(ROWS, st.integers(1, 4), st.integers(1, 3))
def test_a_live_state_is_the_obvious_one(rows: list[Row], remember: int, hidden: int) -> None:
    states = UserStates(("hide",), remember, hidden)
    for at in range(0, len(rows), 3):
        states.note(rows[at : at + 3])
    for user in range(3):
        found = states.of(user)
        acts = list(zip(found.recents.pin_ids.tolist(), found.recents.actions.tolist(), strict=True))
        expected, hides = slow_state(rows, user, remember, hidden)
        assert acts == expected
        assert list(found.hidden) == hides
    states.close()


@given(ROWS, st.integers(0, 40))
def test_a_rebuilt_state_goes_on_where_the_log_ended(rows: list[Row], cut: int) -> None:
    states = UserStates(("hide",), 4, 100)
    before = rows[:cut]
    states.rebuild(lambda: [table_of(before[at : at + 5]) for at in range(0, len(before), 5)])
    states.note(rows[cut:])
    for user in range(3):
        moments = states.of(user).recents.occurred_at.tolist()
        assert moments == sorted(moments, reverse=True)
        expected, _ = slow_state(rows, user, 4, 100)
        assert len(moments) == len(expected)
        assert set(states.of(user).hidden) == set(slow_state(rows, user, 4, 100)[1])
    states.close()


def test_a_batch_with_a_bad_row_is_taken_whole_or_not_at_all() -> None:
    states = UserStates(("hide",))
    with pytest.raises(OverflowError):
        states.note([act(1, 2), act(1, 2**70)])
    assert len(states.of(1).recents.pin_ids) == 0
    states.note([act(1, 3)])
    assert states.of(1).recents.pin_ids.tolist() == [3]
    states.close()


def test_answers_are_bounded_and_newest_first() -> None:
    states = UserStates(("hide",))
    for at in range(5 * ANSWERS):
        states.note_shown([("u", ShownPins("homefeed", at, (at, at + 1)))])
    shown = states.of("u").shown
    assert ANSWERS <= len(shown) <= 2 * ANSWERS
    assert shown[0] == ShownPins("homefeed", 5 * ANSWERS - 1, (5 * ANSWERS - 1, 5 * ANSWERS))
    assert [one.at for one in shown] == sorted((one.at for one in shown), reverse=True)
    assert states.of("v").shown == ()
    states.close()


class Shared:
    """A writer of users' state, and a reader as other processes have it."""

    def __init__(self, root: Path):
        self.publisher = StatePublisher(root)
        self.states = UserStates(("hide",), 4, 10, self.publisher.folder)
        self.states.rebuild(lambda: [table_of([act(1, 10), act(1, 11, "hide", 1)])])
        self.publisher.publish()

    def close(self) -> None:
        self.publisher.close()
        self.states.close()


def test_what_one_process_writes_the_others_know_at_once(tmp_path: Path) -> None:
    reader = StateReader(tmp_path, 4, 10)
    assert reader.of(1) is None, "nobody writes yet"
    shared = Shared(tmp_path)
    for number in range(3):
        shared.states.note([act(1, 20 + number, "save", 10 + number)])
        shared.states.note_shown([(1, ShownPins("homefeed", number, (7,)))])
        found = reader.of(1)
        assert found is not None
        assert found.recents.pin_ids[0] == 20 + number
        assert found.hidden == (11,)
        assert found.shown[0].at == number
    assert reader.of(None) is not None
    assert reader.of("nobody") is not None
    shared.close()
    reader.close()


def test_a_reader_follows_a_new_writer_and_tells_fresh_from_old(tmp_path: Path) -> None:
    reader = StateReader(tmp_path, 4, 10)
    first = Shared(tmp_path)
    first.states.note([act(1, 99, "save", 50)])
    assert reader.of(1) is not None
    first.close()
    second = Shared(tmp_path)
    found = reader.of(1)
    assert found is not None
    assert found.recents.pin_ids.tolist() == [11, 10], "the new writer knows what the log holds"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [second.publisher.folder.name]
    second.close()
    old = time.time() - FRESH - 1
    os.utime(tmp_path / POINTER, (old, old))
    assert reader.of(1) is None
    assert reader.of(1, stale=True) is not None
    reader.close()


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage"])
def test_a_damaged_folder_is_no_state_and_no_fault(tmp_path: Path, damage: str) -> None:
    shared = Shared(tmp_path)
    shared.close()
    for path in shared.publisher.folder.iterdir():
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(b"" if damage == "empty" else b"no database, no table" * 100)
    reader = StateReader(tmp_path, 4, 10)
    assert reader.of(1) is None
    assert reader.of(1, stale=True) is None
