"""A replay that is killed goes on where it was, with the rows that one run writes; another replay begins anew."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from apps.backfill import jobs
from apps.backfill.backfill import backfill
from apps.backfill.ledger import Ledger
from apps.backfill.replay import Replay
from apps.project import open_project
from tests.worlds.funnel import opened_world
from tests.worlds.replay import PIECE, PLAN, written


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PIECE_MOMENTS", PIECE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """A replay that nothing came between."""
    replay = Replay(opened_world(tmp_path_factory.mktemp("whole")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "PIECE_MOMENTS", PIECE)
        backfill(replay, "homefeed", PLAN)
    return replay


def test_a_killed_replay_goes_on_where_it_was(whole: Replay, tmp_path: Path) -> None:
    opened_world(tmp_path)
    command = [sys.executable, "-m", "tests.worlds.replay", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        seen = [int(driver.stdout.readline().split()[0]) for _ in range(4)]
        driver.send_signal(signal.SIGKILL)
    assert seen[0] == 0 < seen[-1]
    replay = Replay(open_project(tmp_path / "pinfunnel.yaml"))
    logs = replay.process.logs
    half = Ledger.of(jobs.job_of(replay, "homefeed", PLAN), logs.root).finished()
    kept = {path: os.stat(path).st_mtime_ns for path in logs.serving_files("homefeed").paths}
    reports: list[tuple[int, int]] = []
    done = backfill(replay, "homefeed", PLAN, lambda *counts: reports.append(counts))
    assert seen[-1] <= reports[0][0] < reports[-1][0] == reports[-1][1]
    assert written(replay) == written(whole)
    assert done == backfill(whole, "homefeed", PLAN)  # the figures are those of all pieces
    assert half
    finished = {path for path in kept if any(f"-{number:06d}." in path for number in half)}
    assert {path: os.stat(path).st_mtime_ns for path in finished} == {path: kept[path] for path in finished}


def test_a_piece_that_was_half_written_is_not_doubled(whole: Replay) -> None:
    logs = whole.process.logs
    before = written(whole)
    note = sorted((logs.root / "backfill").glob("*/*/piece-*.json"))[1]
    note.unlink()  # as if the process had died between its last file and its note
    backfill(whole, "homefeed", PLAN)
    assert note.exists()
    assert written(whole) == before


def test_the_same_replay_has_one_name_and_any_other_its_own(whole: Replay, tmp_path: Path) -> None:
    again = Replay(open_project(Path(whole.opened.project.home).parent / "pinfunnel.yaml"))
    name = jobs.job_of(whole, "homefeed", PLAN).key
    assert jobs.job_of(again, "homefeed", PLAN).key == name
    assert jobs.job_of(whole, "related_pins", PLAN).key != name
    assert jobs.job_of(whole, "homefeed", replace(PLAN, every=5)).key != name
    project = whole.opened.project
    fewer = project.similarity.model_copy(update={"neighbours": 9})  # another graph for every slice, so other features
    changed = replace(whole.opened, project=project.model_copy(update={"similarity": fewer}))
    assert jobs.job_of(Replay(changed), "homefeed", PLAN).key != name
    parts = project.graph.model_copy(update={"shards": 2})
    dealt = replace(whole.opened, project=project.model_copy(update={"graph": parts}))
    assert jobs.job_of(Replay(dealt), "homefeed", PLAN).key != name
    other = opened_world(tmp_path, hidden_per_user=3)
    assert Replay(other).digest == whole.digest
    assert jobs.job_of(Replay(other), "homefeed", PLAN).key != name


def test_a_corrected_column_is_another_replay(whole: Replay, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = opened_world(tmp_path)
    file = next((tmp_path / "events").glob("*.parquet"))
    table = pq.read_table(file)
    actions = ["click", *table["action"].to_pylist()[1:]]
    if actions[0] == table["action"][0].as_py():
        actions[0] = "save"
    pq.write_table(table.set_column(table.column_names.index("action"), "action", pa.array(actions)), file)
    assert jobs.job_of(Replay(opened), "homefeed", PLAN).key != jobs.job_of(whole, "homefeed", PLAN).key


def test_a_replay_walks_in_as_many_parts_as_serving_would(tmp_path: Path) -> None:
    opened = opened_world(tmp_path)
    graph = opened.project.graph.model_copy(update={"shards": 2})
    replay = Replay(replace(opened, project=opened.project.model_copy(update={"graph": graph})))
    moment = next(iter(replay.run("homefeed", PLAN)))
    version = moment.answer.candidates.graph_version
    assert len(replay.process.catalogs.get(version).graph.parts) == 2
    assert replay.process.store.open("graph", version).meta["shards"] == 2
    assert moment.answer.candidates.source == "walk"
