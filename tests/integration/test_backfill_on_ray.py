"""Replay on Ray: the rows of one process whatever the number of workers, and a dead worker's piece is done again."""

import os
import pickle
import signal
from functools import partial
from pathlib import Path

import pytest

from apps.backfill import jobs, workers
from apps.backfill.backfill import backfill
from apps.backfill.history import PastEvents
from apps.backfill.ledger import Ledger
from apps.backfill.piece import Backfilled, ReplayPiece
from apps.backfill.replay import Replay
from cluster.errors import PinfunnelError
from tests.worlds.funnel import opened_world
from tests.worlds.replay import PIECE, PLAN, written

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PIECE_MOMENTS", PIECE)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], list[str], Backfilled]:
    """Rows, event ids and figures of one process."""
    replay = Replay(opened_world(tmp_path_factory.mktemp("alone")))
    done = backfill(replay, "homefeed", PLAN)
    assert done.requests > 20
    return *written(replay), done


def dies_once(job: bytes, history: PastEvents, piece: ReplayPiece, graph: str) -> Backfilled:
    """The task, killed the first time that it does the second piece: all is written then, and nothing noted."""
    done = workers.replay_piece(job, history, piece, graph)
    told = pickle.loads(job)
    home = Path(told.opened.project.home)
    if piece.number == 1 and not (home / "died").exists():
        (home / "died").touch()
        next((home / "logs" / "backfill").glob("*/*/piece-000001.json")).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return done


def always_dies(job: bytes, history: PastEvents, piece: ReplayPiece, graph: str) -> Backfilled:
    os.kill(os.getpid(), signal.SIGKILL)
    return Backfilled()


def fails(job: bytes, history: PastEvents, piece: ReplayPiece, graph: str) -> Backfilled:
    raise PinfunnelError(f"piece {piece.number} is no good")


@pytest.mark.parametrize("count", [2, 3])
def test_any_number_of_workers_writes_the_rows_of_one(
    count: int, alone: tuple[dict[str, str], list[str], Backfilled], tmp_path: Path
) -> None:
    replay = Replay(opened_world(tmp_path))
    reports: list[tuple[int, int]] = []
    done = backfill(replay, "homefeed", PLAN, lambda *counts: reports.append(counts), count)
    assert (*written(replay), done) == alone
    assert reports == sorted(reports)
    assert reports[-1][0] == reports[-1][1]


def test_the_piece_of_a_dead_worker_is_done_again_and_not_doubled(
    alone: tuple[dict[str, str], list[str], Backfilled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = Replay(opened_world(tmp_path))
    monkeypatch.setattr(workers, "replay_on_ray", partial(workers.replay_on_ray, task=dies_once))
    done = backfill(replay, "homefeed", PLAN, workers=2)
    assert (Path(replay.opened.project.home) / "died").exists()
    assert (*written(replay), done) == alone


def test_what_ends_every_worker_ends_with_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay(opened_world(tmp_path))
    original = workers.replay_on_ray
    monkeypatch.setattr(workers, "replay_on_ray", partial(original, task=fails))
    with pytest.raises(PinfunnelError, match=r"piece [0-9] is no good"):
        backfill(replay, "homefeed", PLAN, workers=2)
    monkeypatch.setattr(workers, "TRIES_AGAIN", 0)
    monkeypatch.setattr(workers, "replay_on_ray", partial(original, task=always_dies))
    with pytest.raises(PinfunnelError, match="fewer --workers"):
        backfill(replay, "homefeed", PLAN, workers=2)
    assert not Ledger.of(jobs.job_of(replay, "homefeed", PLAN), replay.process.logs.root).finished()


def test_workers_leave_a_slot_to_others() -> None:
    assert workers.cpus_each(2, 2) == 0.5
    assert workers.cpus_each(16, 15) == 1.0
    for cpus in (2, 3, 8, 64):
        for count in (1, 2, 7, 64):
            assert 0 < count * workers.cpus_each(cpus, count) <= cpus - 1
