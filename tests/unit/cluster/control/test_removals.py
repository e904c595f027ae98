"""What is taken down: by whoever, in whatever order, and until it is restored."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from cluster.control.removals import Removals

ids = st.lists(st.one_of(st.integers(0, 5), st.sampled_from(["a", "b"])), max_size=4)
steps = st.lists(st.tuples(st.booleans(), st.integers(0, 1), ids, ids), max_size=8)


@given(steps)
def test_every_process_has_what_the_last_word_on_each_says(
    told: list[tuple[bool, int, list[int | str], list[int | str]]],
) -> None:
    with TemporaryDirectory() as folder:
        writers = [Removals(folder), Removals(folder)]
        follower = Removals(folder)
        last: dict[tuple[str, int | str], bool] = {}
        for down, writer, pins, boards in told:
            (writers[writer].remove if down else writers[writer].restore)(pins, boards)
            last |= {("pin", pin): down for pin in pins} | {("board", board): down for board in boards}
            follower.now()
        for one in (*writers, follower, Removals(folder)):
            assert one.now().pins == {name for (kind, name), down in last.items() if kind == "pin" and down}
            assert one.now().boards == {name for (kind, name), down in last.items() if kind == "board" and down}


def test_nothing_is_taken_down_where_nobody_said_so_and_nothing_is_written(tmp_path: Path) -> None:
    removals = Removals(tmp_path / "control")
    assert not removals.now().pins
    assert not list(tmp_path.iterdir())


def test_the_same_object_says_that_nothing_has_changed(tmp_path: Path) -> None:
    removals = Removals(tmp_path)
    removals.remove([1])
    assert removals.now() is removals.now()
    Removals(tmp_path).remove([2])
    assert removals.now().pins == {1, 2}
