"""Features lie in a file as bytes and come back as the lists that they were."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.store.log_parts import LogFile, MergedFiles, read_part, readable_batches, write_part
from cluster.store.packed import packed, unpacked, unpacked_schema

FLOATS = st.floats(width=32, allow_nan=False)
ROWS = st.lists(st.none() | st.lists(FLOATS, max_size=6), max_size=8)
SCHEMA = pa.schema([("request_id", pa.string()), ("candidate_features", pa.list_(pa.float32()))], {b"about": b"it"})


def table_of(rows: list[list[float] | None]) -> pa.Table:
    return pa.table([[str(i) for i in range(len(rows))], rows], schema=SCHEMA)


@given(ROWS, st.integers(0, 8), st.integers(0, 8))
def test_any_slice_comes_back(rows: list[list[float] | None], start: int, length: int) -> None:
    table = table_of(rows).slice(start, length)
    there = packed(table)
    assert there.schema.field("candidate_features").type == pa.binary()
    back = pa.Table.from_batches(map(unpacked, there.to_batches()), unpacked_schema(there.schema))
    assert back.to_pylist() == table.to_pylist()
    assert back.schema.equals(SCHEMA, check_metadata=True)
    for batch in there.to_batches():  # readers cut their batches, too
        assert unpacked(batch.slice(1)).to_pylist() == unpacked(batch).slice(1).to_pylist()


def test_a_null_within_a_list_is_not_a_number() -> None:
    back = unpacked(packed(table_of([[1.0, None, 2.0]])).to_batches()[0])  # type: ignore[list-item]
    assert np.isnan(back["candidate_features"][0].as_py()[1])


@pytest.mark.parametrize("row_group", [1, 2, 100])
def test_files_hold_bytes_and_give_lists(tmp_path: Path, row_group: int) -> None:
    rows: list[list[float] | None] = [[1.5, -2.0], None, [], [3.0]]
    path = write_part(table_of(rows), tmp_path, row_group)
    assert pq.read_schema(path).field("candidate_features").type == pa.binary()
    assert read_part(path).to_pylist() == table_of(rows).to_pylist()
    batches = list(readable_batches(str(path), 3, ["candidate_features"]))
    assert [row for batch in batches for row in batch["candidate_features"].to_pylist()] == rows
    raw = pq.read_table(path)["candidate_features"][0].as_py()
    assert np.frombuffer(raw, "<f4").tolist() == rows[0]  # as docs/data.md says


def test_a_file_from_before_gives_its_lists(tmp_path: Path) -> None:
    table = table_of([[1.0], [2.0, 3.0]])
    pq.write_table(table, tmp_path / "part-old.parquet")
    assert read_part(tmp_path / "part-old.parquet").to_pylist() == table.to_pylist()


def test_old_and_new_files_are_merged(tmp_path: Path) -> None:
    pq.write_table(table_of([[1.0]]).set_column(0, "request_id", pa.array(["old"])), tmp_path / "part-old.parquet")
    new = write_part(table_of([[2.0], [3.0]]), tmp_path, 10)
    files = [LogFile(str(p), 1, 1, "2026-01-01", "homefeed") for p in (tmp_path / "part-old.parquet", new)]
    merged = write_part(MergedFiles(files), tmp_path, 10, "compact")
    assert read_part(merged)["candidate_features"].to_pylist() == [[1.0], [2.0], [3.0]]
