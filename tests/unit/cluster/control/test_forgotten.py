"""Who was forgotten and since when, against a plain dictionary; and that the journal names nobody."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cluster.control.forgotten import FILE, Forgotten

users = st.one_of(st.integers(0, 4), st.sampled_from(["0", "1", "x"]))
orders = st.lists(st.tuples(st.lists(users, min_size=1, max_size=3), st.integers(1, 50)), max_size=6)


@given(orders, st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), max_size=20))
def test_what_is_older_than_the_last_order_goes(
    given_orders: list[tuple[list[int | str], int]], rows: list[tuple[int, int]]
) -> None:
    with TemporaryDirectory() as folder:
        reader = Forgotten(folder)
        plain: dict[int | str, int] = {}
        for named, at in given_orders:
            Forgotten(folder).forget(named, at)
            plain |= {user: max(at, plain.get(user, 0)) for user in named}
            reader.changes()
        for user in (*range(5), "0", "1", "x", None):
            assert reader.before(user) == plain.get(user, 0) if user is not None else reader.before(user) == 0
        column, moments = pa.array([u for u, _ in rows], pa.int64()), pa.array([m for _, m in rows], pa.int64())
        expected = [moment >= plain.get(user, 0) for user, moment in rows]
        assert reader.keeps(column, moments).tolist() == expected


def test_rows_without_a_user_stay_and_rows_without_a_moment_are_old(tmp_path: Path) -> None:
    forgotten = Forgotten(tmp_path)
    forgotten.forget([1], 50)
    users_of, moments = pa.chunked_array([[1, None, 2]], pa.int64()), pa.chunked_array([[None, 5, None]], pa.int64())
    assert forgotten.keeps(users_of, moments).tolist() == [False, True, True]


def test_the_journal_names_nobody(tmp_path: Path) -> None:
    Forgotten(tmp_path).forget(["somebody@example.org", 7_310_055_512_345_678])
    data = (tmp_path / FILE).read_bytes()
    assert b"somebody" not in data
    assert b"7310055512345678" not in data
    assert Forgotten(tmp_path).before("somebody@example.org") > 0


def test_every_order_counts_as_a_change(tmp_path: Path) -> None:
    forgotten = Forgotten(tmp_path)
    assert forgotten.changes() == 0
    seen = []
    for at in (5, 6, 7):
        Forgotten(tmp_path).forget([1], at)
        seen.append(forgotten.changes())
    assert len(set(seen)) == 3
    assert 0 not in seen
