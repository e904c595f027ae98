"""A page of a log part damaged under a sound footer: readers leave it out and name the file, the rest counts."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.store.log_parts import read_part
from tests.worlds.logs import LogsWorld, make_world
from training.log.index import read_index
from training.log.tasks import Cut, LogWindow, Read


@pytest.fixture
def world(tmp_path: Path) -> LogsWorld:
    return make_world(tmp_path, ("homefeed",), requests=240, n=20)


def damage(path: str, column: str) -> None:
    """Overwrites the data of one column; the footer stays."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    at = next(i for i in range(group.num_columns) if group.column(i).path_in_schema.startswith(column))
    chunk = group.column(at)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data = bytearray(Path(path).read_bytes())
    data[start : start + chunk.total_compressed_size] = random.Random(0).randbytes(chunk.total_compressed_size)
    Path(path).write_bytes(data)


@pytest.mark.parametrize("column", ["request_id", "candidate_features", "pin_id", "requested_at"])
def test_training_reads_the_other_files_and_names_the_damaged_one(
    world: LogsWorld, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = world.logs.serving_files("homefeed").paths
    expected = pq.ParquetFile(second).read(["request_id"])["request_id"].to_pylist()
    damage(first, column)
    index = read_index(world.logs.serving_files("homefeed"), LogWindow())
    assert len(index.times("homefeed")) >= len(expected)
    read = Read(("request_id", "client", "requested_at", "pin_id", "candidate_features"),
                Cut({"homefeed": LogWindow()}, index.repeats))  # fmt: skip
    found = [i for t in read(pa.table({"path": [first, second]})) for i in t["request_id"].to_pylist()]
    assert found == expected
    assert f"damaged log file {first}" in caplog.text


@pytest.mark.parametrize("column", ["request_id", "candidate_features"])
def test_compaction_leaves_a_damaged_file_alone(
    world: LogsWorld, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = read_part(world.logs.serving_files("homefeed").paths[0])
    for start in (0, 40, 80):
        world.logs.write_serving(table.slice(start, 40))
    day = world.logs.serving_files("homefeed").files[0].date
    bad = [f.path for f in world.logs.serving_files("homefeed").files if f.date == day][1]
    damage(bad, column)
    world.logs.compact(day)
    world.logs.compact(day, grace_seconds=0.0)
    left = [f.path for f in world.logs.serving_files("homefeed").files if f.date == day]
    assert bad in left
    assert len(left) == 2
    assert f"damaged log file {bad}" in caplog.text
    whole = next(path for path in left if path != bad)
    assert set(pq.read_table(whole, partitioning=None)["request_id"].to_pylist()) == set(
        table["request_id"].to_pylist()
    )
