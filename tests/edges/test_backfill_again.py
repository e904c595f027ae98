"""Backfill run twice over the same history, a column corrected between: the newer replay counts."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.backfill.backfill import backfill, make_way, make_way_for_all
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.project import Opened, open_project
from cluster.errors import DataError
from cluster.store.log_parts import read_part
from cluster.store.logs import LogStore
from tests.worlds.funnel import opened_world

PLAN = ReplayPlan(graphs=2, every=24, min_history=2, horizon_hours=240.0)
REFUSED = r"client homefeed: [\d,]+ backfilled requests are in the logs already: run backfill with --replace"


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    backfill(Replay(opened_world(folder)), "homefeed", PLAN)
    return folder


@pytest.fixture
def world(replayed: Path, tmp_path: Path) -> Opened:
    shutil.copytree(replayed, tmp_path, dirs_exist_ok=True)
    return open_project(tmp_path / "pinfunnel.yaml")


def logged(logs: LogStore, client: str = "homefeed") -> pa.Table:
    parts = [read_part(path) for path in logs.serving_files(client).paths]
    return pa.concat_tables(parts)


def test_a_second_replay_is_refused_until_it_is_told_to_replace(world: Opened) -> None:
    logs = world.new_process().logs
    with pytest.raises(DataError, match=REFUSED):
        make_way(Replay(world), "homefeed", PLAN, replace=False)
    assert make_way(Replay(world), "related_pins", PLAN, replace=False) == 0  # another client was never replayed
    before = logged(logs)
    correct_the_action(world)
    assert make_way(Replay(world), "homefeed", PLAN, replace=True) == len(before)
    assert logs.serving_files("homefeed").rows == 0
    assert logs.read_events()[0].num_rows == 0
    backfill(Replay(open_project(Path(world.project.home).parent / "pinfunnel.yaml")), "homefeed", PLAN)
    after = logged(logs)
    assert set(after["request_id"].to_pylist()) == set(before["request_id"].to_pylist())
    assert set(logs.read_events()[0]["action"].to_pylist()) == {"closeup"}


def correct_the_action(world: Opened) -> None:
    assert world.project.data.events is not None
    for path in Path(world.project.data.events.path).rglob("*.parquet"):
        events = pq.read_table(path)
        at = events.column_names.index("action")
        pq.write_table(events.set_column(at, "action", pa.array(["closeup"] * len(events))), path)


def test_a_compacted_replay_goes_and_what_was_served_stays(world: Opened) -> None:
    logs = world.new_process().logs
    replayed = logged(logs)
    served = replayed.slice(0, 3)
    names = pa.array([f"served-{i}" for i in range(3)])
    logs.write_serving(served.set_column(served.column_names.index("request_id"), "request_id", names))
    for day in logs.dates("serving"):
        logs.compact(day)
    with pytest.raises(DataError, match=REFUSED):
        make_way(Replay(world), "homefeed", PLAN, replace=False)
    make_way(Replay(world), "homefeed", PLAN, replace=True)
    assert sorted(logged(logs)["request_id"].to_pylist()) == ["served-0", "served-1", "served-2"]
    for day in logs.dates("serving"):  # and the files that a merged one stood for do not come back
        logs.compact(day, grace_seconds=0.0)
    assert sorted(logged(logs)["request_id"].to_pylist()) == ["served-0", "served-1", "served-2"]


def test_another_span_of_time_is_no_second_replay(world: Opened) -> None:
    logs = world.new_process().logs
    moments = logged(logs)["requested_at"].to_pylist()
    later = ReplayPlan(since=max(moments).replace(year=max(moments).year + 1))
    assert make_way(Replay(world), "homefeed", later, replace=False) == 0
    half = ReplayPlan(until=sorted(moments)[len(moments) // 2])
    assert 0 < make_way(Replay(world), "homefeed", half, replace=True) < len(moments)
    assert min(logged(logs)["requested_at"].to_pylist()) >= sorted(moments)[len(moments) // 2]


def test_a_replay_that_was_ended_early_goes_on_and_no_other_does(world: Opened) -> None:
    replay = Replay(world)
    logs = world.new_process().logs
    rows = logged(logs).num_rows
    notes = sorted((logs.root / "backfill" / "homefeed").glob("*/piece-*.json"))
    notes[0].unlink()  # as if it had been killed before its end
    for replace in (False, True):
        assert make_way(replay, "homefeed", PLAN, replace) == 0
    with pytest.raises(DataError, match=REFUSED):
        make_way(replay, "homefeed", ReplayPlan(graphs=2, every=25), replace=False)
    backfill(replay, "homefeed", PLAN)
    assert logged(logs).num_rows == rows
    with pytest.raises(DataError, match=REFUSED):
        make_way(replay, "homefeed", PLAN, replace=False)


def test_notes_of_rows_that_someone_removed_are_not_believed(world: Opened) -> None:
    logs = world.new_process().logs
    rows = logged(logs).num_rows
    shutil.rmtree(logs.root / "serving")
    replay = Replay(world)
    assert make_way(replay, "homefeed", PLAN, replace=False) == 0
    backfill(replay, "homefeed", PLAN)
    assert logged(logs).num_rows == rows


def test_a_run_for_several_clients_goes_on_after_those_that_are_done(world: Opened) -> None:
    replay = Replay(world)
    rows = logged(world.new_process().logs).num_rows
    both = ["homefeed", "notifications"]
    for replace in (False, True):
        assert make_way_for_all(replay, both, PLAN, replace) == {}
        assert logged(world.new_process().logs).num_rows == rows
    backfill(replay, "notifications", PLAN)
    with pytest.raises(DataError, match=REFUSED):
        make_way_for_all(replay, both, PLAN, replace=False)
