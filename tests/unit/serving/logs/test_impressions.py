"""The serving log: a row that does not fit is set aside alone, and a disk that refuses loses and repeats nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster.features.assemble import FeatureSet
from cluster.settings.project import FeatureSettings
from cluster.store import log_parts
from cluster.store.log_parts import read_part
from cluster.store.logs import PIECE_REQUESTS, LogStore
from serving.logs.impressions import ServingLog


def row(name: str, client: str = "homefeed", **changes: Any) -> dict[str, Any]:
    nothing = np.empty(0, np.float32)
    return {
        "request_id": name,
        "client": client,
        "user_id": 1,
        "requested_at": datetime(2026, 1, 1, tzinfo=UTC),
        "experiment": "",
        "exposure": (),
        "milliseconds": None,
        "degraded": "",
        "graph_version": "v",
        "lightweight_version": None,
        "full_version": None,
        "schema_hash": "h",
        "user_locale": None,
        "filter": None,
        "explored_rate": None,
        "dropped_rate": None,
        "teacher_rate": None,
        "kept_rate": None,
        **{name: np.empty(0, np.int64) for name in ("query_pin_id", "sequence_pin_id", "pin_id")},
        **{name: np.empty(0, object) for name in ("sequence_action", "sequence_client")},
        **dict.fromkeys(("query_weight", "sequence_age_hours", "visit_score", "lightweight_score"), nothing),
        **dict.fromkeys(("full_score", "shared_features", "candidate_features"), nothing),
        **dict.fromkeys(("source_name", "source_budget"), ()),
        "source_rank": np.empty(0, np.int32),
        "source_score": nothing,
        "stage": np.empty(0, np.int8),
        "position": np.empty(0, np.int16),
        "explored": np.empty(0, bool),
        "explored_dropped": np.empty(0, bool),
        "team": np.empty(0, np.int8),
        **changes,
    }


@pytest.fixture
def log(tmp_path: Path) -> ServingLog:
    features = FeatureSet.of(FeatureSettings())
    return ServingLog(LogStore(tmp_path), "int64", features, seconds=1e6)


def stored(folder: Path) -> list[str]:
    paths = LogStore(folder).serving_files().paths
    return sorted(name for path in paths for name in pq.read_table(path, partitioning=None)["request_id"].to_pylist())


@pytest.mark.parametrize(
    "poison",
    [
        {"user_id": "alice"},
        {"user_id": 2**64},
        {"experiment": "\ud800"},
        {"pin_id": np.array([2**70], object)},
        {"pin_id": np.array(["a"], object)},
        {"sequence_action": np.array(["\udfff"], object)},
        {"teacher_rate": "often"},
    ],
)
def test_a_poisoned_row_is_set_aside_alone(tmp_path: Path, log: ServingLog, poison: dict[str, Any]) -> None:
    for each in (row("before"), row("bad", **poison), row("after")):
        assert log.offer(each)
    assert log.flush() == 2
    assert stored(tmp_path) == ["after", "before"]
    assert log.health().counters["quarantined"] == 1
    (file,) = (tmp_path / "quarantine").iterdir()
    (line,) = file.read_text(encoding="ascii").splitlines()
    assert json.loads(line)["row"]["request_id"] == "bad"
    assert json.loads(line)["reason"]


def test_what_was_written_before_the_disk_refused_is_not_written_again(
    tmp_path: Path, log: ServingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (row("a", "ads"), row("b", "homefeed"), row("c", "search")):
        log.offer(each)
    real = LogStore.write_serving

    def refuses_homefeed(store: LogStore, table: Any, features: Any = None, **options: Any) -> Any:
        if table["client"][0].as_py() == "homefeed":
            raise OSError(28, "No space left on device")
        return real(store, table, features, **options)

    with monkeypatch.context() as full:
        full.setattr(LogStore, "write_serving", refuses_homefeed)
        with pytest.raises(OSError, match="No space"):
            log.flush()
    assert "No space" in log.health().counters["last_error"]
    assert stored(tmp_path) == ["a", "c"], "one client's disk is not the others'"
    assert log.health().problems == ("1 requests wait for the disk: OSError: [Errno 28] No space left on device",)
    assert log.flush() == 1
    assert stored(tmp_path) == ["a", "b", "c"]
    assert log.health().problems == ()


def test_a_batch_that_was_half_written_is_written_again_over_itself(
    tmp_path: Path, log: ServingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has its name already when the sync of its folder fails: tried again, no request is there twice."""
    for each in (row("a"), row("bad", user_id="alice"), row("b")):
        log.offer(each)
    with monkeypatch.context() as broken:
        broken.setattr(log_parts, "fsync", fails_at("client=homefeed"))
        with pytest.raises(OSError, match="input/output"):
            log.flush()
    assert stored(tmp_path) == ["a", "b"]
    log.offer(row("c"))
    assert log.flush() == 3
    assert stored(tmp_path) == ["a", "b", "c"]
    assert log.health().counters["quarantined"] == 1, "what is set aside is set aside once"


def fails_at(name: str) -> Any:
    def sync(path: Path) -> None:
        if path.name == name:
            raise OSError(5, "input/output error")

    return sync


def test_rows_that_wait_for_the_disk_count_for_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ServingLog(LogStore(tmp_path), "int64", FeatureSet.of(FeatureSettings()), capacity=3, seconds=1e6)
    with monkeypatch.context() as full:
        full.setattr(LogStore, "write_serving", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
        for name in "abc":
            assert log.offer(row(name))
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                log.flush()
        assert not log.offer(row("d"))
    assert log.health().counters["dropped"] == 1
    assert "requests are not logged, as 3 wait already" in log.health().problems
    assert log.flush() == 3
    assert log.offer(row("e"))
    log.close()
    assert stored(tmp_path) == ["a", "b", "c", "e"]


def test_rows_that_are_written_with_rests_are_all_there(log: ServingLog) -> None:
    for number in range(2 * PIECE_REQUESTS + 3):
        log.offer(row(f"r{number}", "homefeed"))
    assert log.flush(rests=0.01) == 2 * PIECE_REQUESTS + 3
    [path] = log._store.serving_files().paths
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(at).num_rows for at in range(groups.num_row_groups)] == [PIECE_REQUESTS] * 2 + [3]
    assert len(read_part(path)) == 2 * PIECE_REQUESTS + 3


def test_what_waits_is_told_with_its_bytes_and_age(
    tmp_path: Path, log: ServingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("serving.logs.impressions.time.monotonic", lambda: now[0])
    log.flush()
    assert (log.backlog().rows, log.backlog().bytes, log.backlog().oldest_seconds) == (0, 0, 0.0)
    features = np.zeros(100, np.float32)
    log.offer(row("a", candidate_features=features))
    log.offer(row("b", client="search", candidate_features=features))
    now[0] += 3.0
    waiting = log.backlog()
    assert (waiting.rows, waiting.bytes, waiting.problems) == (2, 800, 0)
    assert waiting.oldest_seconds == 3.0

    monkeypatch.setattr(LogStore, "write_serving", broken)
    with pytest.raises(OSError, match="full"):
        log.flush()
    now[0] += 4.0
    log.offer(row("c"))
    waiting = log.backlog()
    assert (waiting.rows, waiting.bytes, waiting.problems) == (3, 800, 1)
    assert waiting.oldest_seconds == 7.0, "that of the rows that the disk refused"

    monkeypatch.undo()
    log.flush()
    assert (log.backlog().rows, log.backlog().bytes, log.backlog().oldest_seconds) == (0, 0, 0.0)


def broken(*_: Any, **__: Any) -> None:
    raise OSError("the disk is full")
