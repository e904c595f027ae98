"""Files of ids: what is read, and what is refused by file and line."""

from pathlib import Path

import pytest

from cluster.contract.ids import IdContract
from cluster.control.id_files import read_ids
from cluster.errors import DataError


def written(folder: Path, text: str) -> Path:
    path = folder / "ids.txt"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def test_ids_are_read_in_the_projects_type(tmp_path: Path) -> None:
    path = written(tmp_path, "7\n\n -3 \r\n9223372036854775807\n")
    assert read_ids(path, IdContract("int64")) == ([7, -3, 2**63 - 1], [])
    assert read_ids(path, IdContract("string")) == (["7", "-3", "9223372036854775807"], [])
    assert read_ids(written(tmp_path, "an id with blanks\n"), IdContract("string")) == (["an id with blanks"], [])


@pytest.mark.parametrize(
    ("text", "says"),
    [("\nx\n", "line 2"), ("1.0", "line 1"), ("9223372036854775808", "int64"), ("\u0663", "line 1"), ("", "no ids"),
     ("\udcff", "UTF-8")],
)  # fmt: skip
def test_what_is_no_id_is_refused_by_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=says) as told:
        read_ids(path, IdContract("int64"))
    assert str(path) in str(told.value)


def test_a_bad_line_takes_no_other_with_it(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffpin_id\n7\n\udcff\n8\n9.5\n")
    ids, refused = read_ids(path, IdContract("int64"))
    assert ids == [7, 8]
    assert [line.split(":")[0] for line in refused] == [f"{path}, line {number}" for number in (1, 3, 5)]


def test_the_mark_that_some_editors_begin_a_file_with_is_no_part_of_an_id(tmp_path: Path) -> None:
    assert read_ids(written(tmp_path, "\ufeffone\ntwo"), IdContract("string")) == (["one", "two"], [])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt"):
        read_ids(tmp_path / "none.txt", IdContract("int64"))
