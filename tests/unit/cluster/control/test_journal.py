"""A journal keeps what was acknowledged, whatever is torn, damaged or written by several at once."""

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from cluster.control.journal import Journal, JournalReader


class Told:
    """All that a follower has told, as one list."""

    def __init__(self, path: Path):
        self._reader = JournalReader(Journal(path), dict)
        self.entries: list[Any] = []
        self.times = 0

    def look(self) -> list[Any]:
        self._reader.look(self._take)
        return self.entries

    def _take(self, entries: list[Any], anew: bool) -> None:
        self.entries = [*([] if anew else self.entries), *entries]
        self.times += 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control" / "some.jsonl"


def write_many(path: Path, writer: int) -> None:
    for at in range(50):
        Journal(path).append([{"writer": writer, "at": at}])


def test_a_follower_hears_of_each_line_once_and_looks_no_further_without_news(path: Path) -> None:
    reader = Told(path)
    assert reader.look() == []
    Journal(path).append([{"n": 1}, {"n": 2}])
    assert reader.look() == [{"n": 1}, {"n": 2}]
    Journal(path).append([{"n": 3}])
    assert reader.look() == [{"n": 1}, {"n": 2}, {"n": 3}]
    reader.look()
    assert reader.times == 2


def test_a_torn_end_counts_for_nothing_and_is_cut_off_by_the_next_line(path: Path) -> None:
    Journal(path).append([{"n": 1}])
    whole = path.read_bytes()
    for torn in (b'{"n":', b'{"n":2}', b"\x00\xff"):
        path.write_bytes(whole + torn)
        reader = Told(path)
        assert reader.look() == [{"n": 1}]
        Journal(path).append([{"n": 7}])
        assert reader.look() == [{"n": 1}, {"n": 7}]
        assert path.read_bytes() == whole + b'{"n":7}\n'


def test_a_line_that_is_as_long_as_the_torn_one_before_it_is_noticed(path: Path) -> None:
    Journal(path).append([{"n": 1}])
    path.write_bytes(path.read_bytes() + b'{"n":22\n'[:-1] + b"x")
    reader = Told(path)
    reader.look()
    Journal(path).append([{"n": 2}])
    assert reader.look() == [{"n": 1}, {"n": 2}]


def test_a_damaged_line_takes_no_other_with_it(path: Path) -> None:
    Journal(path).append([{"n": 1}])
    with path.open("ab") as file:
        file.write(b"not json\n[1]\n\xff\n")
    Journal(path).append([{"n": 2}])
    assert Told(path).look() == [{"n": 1}, {"n": 2}]


def test_what_was_known_holds_while_the_file_is_away(path: Path) -> None:
    Journal(path).append([{"n": 1}])
    reader = Told(path)
    reader.look()
    path.rename(path.with_name("away"))
    assert reader.look() == [{"n": 1}]


def test_no_line_of_several_writers_is_lost_or_torn(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(path, writer)) for writer in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    told = Told(path).look()
    for writer in range(2):
        assert [each["at"] for each in told if each["writer"] == writer] == list(range(50))


def test_a_file_that_is_written_anew_is_read_from_its_begin(path: Path) -> None:
    Journal(path).append([{"n": 1}, {"n": 2}, {"n": 3}])
    reader = Told(path)
    reader.look()
    assert Journal(path).rewrite(lambda entry: entry["n"] != 2) == 1
    Journal(path).append([{"n": 4}])
    assert reader.look() == [{"n": 1}, {"n": 3}, {"n": 4}]
    assert Journal(path).rewrite(lambda entry: True) == 0
    assert Journal(path.with_name("none")).rewrite(lambda entry: False) == 0
