"""The logs at rest: what is written is read, whole or not at all, each row once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.control.forgotten import Forgotten
from cluster.control.logs import sweep_logs
from cluster.data.schema import event_schema, serving_schema
from cluster.errors import DataError
from cluster.features.assemble import FeatureSet
from cluster.store.log_parts import read_part
from cluster.store.logs import LogStore
from cluster.store.paths import LogPath, ObjectPath, opened
from cluster.store.replaced import REPLACES_KEY, names_replaced
from cluster.store.replays import count_replayed, drop_replayed, id_prefix
from cluster.store.retention import expire
from tests.worlds.logs import START, make_world, project_at


def served(ids: list[str], client: str = "homefeed", at: datetime = START) -> pa.Table:
    schema = serving_schema("int64")
    rows = [{f.name: None for f in schema} | {"request_id": i, "client": client, "requested_at": at} for i in ids]
    return pa.Table.from_pylist(rows, schema)


def events(ids: list[str | None], at: datetime = START) -> pa.Table:
    row = {"user_id": 1, "pin_id": 2, "action": "save", "occurred_at": at, "received_at": at}
    return pa.Table.from_pylist([row | {"event_id": i} for i in ids], event_schema("int64"))


@pytest.fixture(params=["local", "objects"])
def logs(request: pytest.FixtureRequest, s3: str, tmp_path: Path) -> LogStore:
    """Of a folder, or of an object store with a folder beside it."""
    return LogStore(tmp_path) if request.param == "local" else LogStore(f"{s3}/some/logs", beside=tmp_path)


def replace(path: LogPath, data: bytes) -> None:
    path.write(data) if isinstance(path, ObjectPath) else Path(str(path)).write_bytes(data)


def read(path: LogPath) -> bytes:
    return bytes(opened(path).read()) if isinstance(path, ObjectPath) else Path(str(path)).read_bytes()


def parts(logs: LogStore) -> list[str]:
    return [path.name for path in logs.parts.rglob("part-*.parquet")]


@pytest.fixture
def features(tmp_path: Path) -> FeatureSet:
    return FeatureSet.of(project_at(tmp_path).features)


def test_rows_go_to_their_date_and_client_and_carry_the_feature_names(logs: LogStore, features: FeatureSet) -> None:
    table = pa.concat_tables([served(["a"]), served(["b"], "ads"), served(["c"], at=START + timedelta(days=1))])
    paths = logs.write_serving(table, features)
    folders = {str(p.parent).removeprefix(f"{logs.parts}/") for p in paths}
    assert folders == {
        "serving/date=2026-01-01/client=homefeed",
        "serving/date=2026-01-01/client=ads",
        "serving/date=2026-01-02/client=homefeed",
    }
    file = logs.serving_files("ads").files[0]
    assert (file.rows, file.client, file.schema_hash) == (1, "ads", features.schema_hash)
    assert pq.ParquetFile(opened(file.path)).read().column("request_id").to_pylist() == ["b"]
    assert b"graph_visits" in pq.read_schema(opened(file.path)).metadata[b"pinfunnel.candidate_features"]


def test_queries_prune_by_date(logs: LogStore, features: FeatureSet) -> None:
    for day in range(3):
        logs.write_serving(served([f"r{day}"], at=START + timedelta(days=day)), features)
        logs.write_events(events([f"e{day}"], START + timedelta(days=day)))
    second = datetime(2026, 1, 2, tzinfo=UTC)
    assert [f.date for f in logs.serving_files(None, second, second).files] == ["2026-01-02"]
    assert [f.date for f in logs.event_files(second).files] == ["2026-01-02", "2026-01-03"]
    assert logs.dates() == ["2026-01-01", "2026-01-02", "2026-01-03"]


def test_a_truncated_file_is_left_out_and_named(logs: LogStore, features: FeatureSet) -> None:
    good, broken = logs.write_serving(served(["a"]), features)[0], logs.write_serving(served(["b"]), features)[0]
    replace(broken, read(broken)[:-20])
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
    folder = Path(str(logs.write_serving(served(["a"]), features)[0].parent))
    (folder / ".part-1.parquet.writing").write_bytes(b"half a file")
    found = logs.serving_files()
    assert found.rows == 1
    assert not found.unreadable


def test_events_are_read_once_each_and_those_without_id_all(logs: LogStore) -> None:
    logs.write_events(events(["a", "b", None]))
    logs.write_events(events(["b", "c", None]))
    table, repeated = logs.read_events()
    assert sorted(table.column("event_id").to_pylist(), key=str) == ["None", "None", "a", "b", "c"] or repeated == 1
    assert table.num_rows == 5
    assert repeated == 1


def test_compaction_keeps_each_row_once_at_every_step(logs: LogStore, features: FeatureSet) -> None:
    for ids in (["a", "b"], ["c"], ["b", "d"]):
        logs.write_serving(served(ids), features)
    logs.write_events(events(["x", "y"]))
    logs.write_events(events(["y", None]))

    def ids() -> list[str]:
        tables = [pq.ParquetFile(opened(p)).read(["request_id"]) for p in logs.serving_files().paths]
        return sorted(pa.concat_tables(tables).column(0).to_pylist())

    done = logs.compact("2026-01-01")
    assert done == {"merged": 5, "written": 2, "removed": 0}
    assert ids() == ["a", "b", "c", "d"]  # the replaced files still lie there, and are not read
    assert len(parts(logs)) == 5
    assert logs.serving_files().files[0].schema_hash == features.schema_hash

    logs.write_serving(served(["e"]), features)
    assert logs.compact("2026-01-01")["removed"] == 0  # readers may still hold them
    assert ids() == ["a", "b", "c", "d", "e"]
    assert logs.compact("2026-01-01", grace_seconds=0) == {"merged": 0, "written": 0, "removed": 7}
    assert ids() == ["a", "b", "c", "d", "e"]
    assert parts(logs) == []
    assert logs.read_events()[0].num_rows == 3


def test_rows_written_again_under_a_name_replace_those_of_before(logs: LogStore) -> None:
    for ids in (["a"], ["b", "c"]):
        logs.write_events(events(list(ids)), name="same")
    table, repeated = logs.read_events()
    assert (table["event_id"].to_pylist(), repeated) == (["b", "c"], 0)


def test_old_days_go_wherever_they_lie(logs: LogStore) -> None:
    for days in (0, 20):
        logs.write_events(events(["a"], START - timedelta(days=days)))
    logs.compact("2025-12-12")
    assert expire(logs.root, 10, START, logs.parts) == 1
    assert logs.dates("events") == ["2026-01-01"]
    assert expire(logs.root, 10, START, logs.parts) == 0


def test_who_was_forgotten_is_taken_out_wherever_the_logs_lie(logs: LogStore, tmp_path: Path) -> None:
    logs.write_events(events(["a", "b"]))
    logs.write_events(events(["c"]))
    logs.compact("2026-01-01")
    forgotten = Forgotten(tmp_path / "control")
    forgotten.forget([1])
    done = sweep_logs(logs.root, forgotten, logs.parts)
    assert (done.rows, done.files, done.unreadable) == (6, 3, [])
    assert parts(logs) == []
    assert logs.read_events()[0].num_rows == 0


def test_a_replay_makes_way_wherever_it_lies(logs: LogStore, features: FeatureSet) -> None:
    logs.write_serving(served(["a", f"{id_prefix('homefeed')}1"]), features)
    assert count_replayed(logs, "homefeed") == 1
    assert drop_replayed(logs, "homefeed") == 1
    assert [read_part(path)["request_id"].to_pylist() for path in logs.serving_files().paths] == [["a"]]


def test_a_log_that_is_away_raises_what_a_disk_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    logs = LogStore("s3://bucket/logs", beside=tmp_path)
    with pytest.raises(OSError, match="127"):
        logs.write_events(events(["a"]))
    with pytest.raises(OSError, match="127"):
        logs.read_events()


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
