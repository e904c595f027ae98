"""Reading an input: mapping, batches, row groups, and what a user is told when a file is wrong."""

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.data.inputs import open_input
from cluster.data.reading import BadInput, Input
from cluster.data.schema import edges_columns, pins_columns
from cluster.errors import ConfigError, DataError
from cluster.settings.project import FeatureSettings, Source


def edges_input(path: Path, **columns: str) -> Input:
    return open_input("edges", Source(path=str(path), columns=columns), edges_columns("int64"))


def write(path: Path, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_names_are_mapped_and_optional_columns_are_null(tmp_path: Path) -> None:
    write(tmp_path / "e" / "a.parquet", user=[1, 2, 3], item=pa.array([4, 5, 6], pa.int32()), other=["x"] * 3)
    source = edges_input(tmp_path / "e", board_id="user", pin_id="item")
    assert source.rows == 3
    assert not source.has("saved_at")
    assert source.read().to_pydict() == {"board_id": [1, 2, 3], "pin_id": [4, 5, 6], "saved_at": [None] * 3}
    assert source.read().schema == source.schema()


def test_row_groups_are_pieces_and_rows_count_within_the_file(tmp_path: Path) -> None:
    write(tmp_path / "sub" / "b.parquet", board_id=[1, 2, 3], pin_id=[4, 5, 6])
    write(tmp_path / "a.parquet", board_id=[7, 8, 9], pin_id=[1, 1, 1])
    (tmp_path / "_SUCCESS.parquet").write_bytes(b"")  # hidden files of other tools are not data
    source = edges_input(tmp_path)
    assert [(Path(p.file).name, p.first_row, p.rows) for p in source.pieces] == [
        ("a.parquet", 0, 2), ("a.parquet", 2, 1), ("b.parquet", 0, 2), ("b.parquet", 2, 1),
    ]  # fmt: skip
    batches = list(source.batches(source.pieces[3:], ["pin_id"]))
    assert [(b.first_row, b.table.to_pydict()) for b in batches] == [(2, {"pin_id": [6]})]


def test_a_file_alone_is_an_input(tmp_path: Path) -> None:
    assert edges_input(write(tmp_path / "edges.bin", board_id=[1], pin_id=[2])).rows == 1


def test_missing_folder_and_empty_folder_name_the_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"edges: .*nowhere: does not exist: set `data.edges.path`"):
        edges_input(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no Parquet files"):
        edges_input(tmp_path)


def test_missing_column_names_the_nearest_and_the_key(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", board_id=[1], pinid=[2])
    with pytest.raises(BadInput, match=r"no column 'pin_id'.*'pinid', set `data.edges.columns: \{pin_id: pinid\}`"):
        _ = edges_input(tmp_path).rows


def test_a_mapped_optional_column_must_be_there(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", board_id=[1], pin_id=[2], time=[3])
    with pytest.raises(BadInput, match="no column 'when'"):
        _ = edges_input(tmp_path, saved_at="when").rows


def test_mapping_an_unknown_column_is_a_config_error(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", board_id=[1], pin_id=[2])
    with pytest.raises(ConfigError, match=r"data.edges.columns: edges has no column 'pinid'; did you mean 'pin_id'"):
        edges_input(tmp_path, pinid="item")


def test_wrong_type_names_file_column_row_and_fix(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", board_id=[1.0, 2.0, 2.0, 2.5], pin_id=[1, 2, 3, 4])
    with pytest.raises(BadInput) as caught:
        edges_input(tmp_path).read()
    fault = caught.value
    assert (fault.file, fault.column, fault.row) == (str(file), "board_id", 3)
    assert "2.5 (double) is not int64" in str(fault)
    assert "write it as int64" in fault.fix
    assert "\n" not in str(fault)
    assert str(pickle.loads(pickle.dumps(fault))) == str(fault)  # it crosses processes


def test_wrong_type_names_the_users_own_column(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", pin_id=[1], genres=["a|b"])
    columns = pins_columns("int64", FeatureSettings())
    with pytest.raises(BadInput, match=r"column 'genres', row 0: 'a\|b' \(string\) is not list: .*pl.col\('genres'\)"):
        open_input("pins", Source(path=str(tmp_path), columns={"topics": "genres"}), columns).read()


@pytest.mark.parametrize("keep", [0, 10, -20])
def test_truncated_parquet_is_one_line(tmp_path: Path, keep: int) -> None:
    file = write(tmp_path / "a.parquet", board_id=list(range(500)), pin_id=list(range(500)))
    raw = file.read_bytes()
    file.write_bytes(raw[:keep])
    with pytest.raises(BadInput, match="empty \\(0 bytes\\)" if not keep else "not a complete Parquet file") as caught:
        _ = edges_input(tmp_path).rows
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_pages_are_found_when_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", board_id=list(range(500)), pin_id=list(range(500)))
    raw = bytearray(file.read_bytes())
    raw[4:200] = bytes(196)
    file.write_bytes(raw)
    with pytest.raises(BadInput, match="cannot be read"):
        edges_input(tmp_path).read()
