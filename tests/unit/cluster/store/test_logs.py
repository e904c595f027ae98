"""The logs at rest: what is written is read, whole or not at all, each row once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.data.schema import event_schema, serving_schema
from cluster.errors import DataError
from cluster.features.assemble import FeatureSet
from cluster.store.log_parts import REPLACES_KEY, names_replaced, read_part
from cluster.store.logs import LogStore
from tests.worlds.logs import START, make_world, project_at


def served(ids: list[str], client: str = "homefeed", at: datetime = START) -> pa.Table:
    schema = serving_schema("int64")
    rows = [{f.name: None for f in schema} | {"request_id": i, "client": client, "requested_at": at} for i in ids]
    return pa.Table.from_pylist(rows, schema)


def events(ids: list[str | None], at: datetime = START) -> pa.Table:
    row = {"user_id": 1, "pin_id": 2, "action": "save", "occurred_at": at, "received_at": at}
    return pa.Table.from_pylist([row | {"event_id": i} for i in ids], event_schema("int64"))


@pytest.fixture
def features(tmp_path: Path) -> FeatureSet:
    return FeatureSet.of(project_at(tmp_path).features)


def test_rows_go_to_their_date_and_client_and_carry_the_feature_names(tmp_path: Path, features: FeatureSet) -> None:
    logs = LogStore(tmp_path)
    table = pa.concat_tables([served(["a"]), served(["b"], "ads"), served(["c"], at=START + timedelta(days=1))])
    paths = logs.write_serving(table, features)
    folders = {str(p.parent.relative_to(tmp_path)) for p in paths}
    assert folders == {
        "serving/date=2026-01-01/client=homefeed",
        "serving/date=2026-01-01/client=ads",
        "serving/date=2026-01-02/client=homefeed",
    }
    file = logs.serving_files("ads").files[0]
    assert (file.rows, file.client, file.schema_hash) == (1, "ads", features.schema_hash)
    assert pq.ParquetFile(file.path).read().column("request_id").to_pylist() == ["b"]
    assert b"graph_visits" in pq.read_schema(file.path).metadata[b"pinfunnel.candidate_features"]


def test_queries_prune_by_date(tmp_path: Path, features: FeatureSet) -> None:
    logs = LogStore(tmp_path)
    for day in range(3):
        logs.write_serving(served([f"r{day}"], at=START + timedelta(days=day)), features)
        logs.write_events(events([f"e{day}"], START + timedelta(days=day)))
    second = datetime(2026, 1, 2, tzinfo=UTC)
    assert [f.date for f in logs.serving_files(None, second, second).files] == ["2026-01-02"]
    assert [f.date for f in logs.event_files(second).files] == ["2026-01-02", "2026-01-03"]
    assert logs.dates() == ["2026-01-01", "2026-01-02", "2026-01-03"]


def test_a_truncated_file_is_left_out_and_named(tmp_path: Path, features: FeatureSet) -> None:
    logs = LogStore(tmp_path)
    good, broken = logs.write_serving(served(["a"]), features)[0], logs.write_serving(served(["b"]), features)[0]
    broken.write_bytes(broken.read_bytes()[:-20])
    found = logs.serving_files()
    assert found.paths == [str(good)]
    assert found.unreadable == (str(broken),)
    assert "1 unreadable" in found.report()
    assert str(broken) in found.report()


def test_a_table_without_feature_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="feature names"):
        LogStore(tmp_path).write_serving(served(["a"]))


def test_an_unfinished_write_is_never_read(tmp_path: Path, features: FeatureSet) -> None:
    logs = LogStore(tmp_path)
    folder = logs.write_serving(served(["a"]), features)[0].parent
    (folder / ".part-1.parquet.writing").write_bytes(b"half a file")
    found = logs.serving_files()
    assert found.rows == 1
    assert not found.unreadable


def test_events_are_read_once_each_and_those_without_id_all(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    logs.write_events(events(["a", "b", None]))
    logs.write_events(events(["b", "c", None]))
    table, repeated = logs.read_events()
    assert sorted(table.column("event_id").to_pylist(), key=str) == ["None", "None", "a", "b", "c"] or repeated == 1
    assert table.num_rows == 5
    assert repeated == 1


def test_compaction_keeps_each_row_once_at_every_step(tmp_path: Path, features: FeatureSet) -> None:
    logs = LogStore(tmp_path)
    for ids in (["a", "b"], ["c"], ["b", "d"]):
        logs.write_serving(served(ids), features)
    logs.write_events(events(["x", "y"]))
    logs.write_events(events(["y", None]))

    def ids() -> list[str]:
        tables = [pq.ParquetFile(p).read(["request_id"]) for p in logs.serving_files().paths]
        return sorted(pa.concat_tables(tables).column(0).to_pylist())

    done = logs.compact("2026-01-01")
    assert done == {"merged": 5, "written": 2, "removed": 0}
    assert ids() == ["a", "b", "c", "d"]  # the replaced files still lie there, and are not read
    assert len(list(tmp_path.rglob("part-*.parquet"))) == 5
    assert logs.serving_files().files[0].schema_hash == features.schema_hash

    logs.write_serving(served(["e"]), features)
    assert logs.compact("2026-01-01")["removed"] == 0  # readers may still hold them
    assert ids() == ["a", "b", "c", "d", "e"]
    assert logs.compact("2026-01-01", grace_seconds=0) == {"merged": 0, "written": 0, "removed": 7}
    assert ids() == ["a", "b", "c", "d", "e"]
    assert [p.name for p in tmp_path.rglob("part-*.parquet")] == []
    assert logs.read_events()[0].num_rows == 3


def test_the_synthetic_world_fits_the_schema(tmp_path: Path) -> None:
    world = make_world(tmp_path, requests=8, n=20)
    assert world.logs.serving_files("homefeed").rows == 8
    table = read_part(world.logs.serving_files("homefeed").paths[0])
    assert table.schema.equals(serving_schema("int64"))


@pytest.mark.parametrize(
    "names", [b"{", b"7", b'"a"', b"[1]", b'["../a.parquet"]', b'["/a.parquet"]', b'[".."]', b"\xff"]
)
def test_a_merged_file_that_names_others_than_those_beside_it_is_damaged(names: bytes) -> None:
    with pytest.raises(pa.ArrowInvalid, match="does not name the files that it replaces"):
        names_replaced({REPLACES_KEY: names})
    assert names_replaced({REPLACES_KEY: b'["events-1.parquet"]'}) == ["events-1.parquet"]
    assert names_replaced({}) == []
