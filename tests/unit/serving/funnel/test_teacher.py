"""The teacher's sample: which candidates it scores, how the log marks them, and the weights that distillation takes."""

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.project import Opened
from cluster.data.schema import WALKED
from cluster.settings.clients import LabelSettings
from cluster.store.logs import LogStore
from serving.funnel.funnel import Funnel
from serving.funnel.stages import DirectStages
from serving.funnel.teacher import Teacher
from serving.logs.impressions import log_row, rows_to_table
from serving.request.per_arm import PerArm
from tests.worlds.funnel import ask, opened_world, publish_full, some_user
from training.lightweight.strategies.registry import resolve
from training.lightweight.strategies.strategy import LoggedCandidates, label_request
from training.log.arrays import read_requests
from training.log.tasks import Cut, LogWindow, Read

RULE = resolve(LabelSettings(strategy="distillation", action_weights={"save": 1.0}), ("save", "hide"), ("hide",))


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


def _funnel(world: Opened, teacher: Teacher) -> Funnel:
    process = world.new_process()
    publish_full(process, world.clients)
    process.watcher().poll()
    stages = DirectStages(process.sources, process.lightweight, process.full)
    narrow = world.clients["homefeed"].sizes.model_copy(update={"lightweight": 40, "explore": 0})
    clients = {**world.clients, "homefeed": world.clients["homefeed"].model_copy(update={"sizes": narrow})}
    process.lightweight._of = PerArm(clients, lambda client: client)
    return Funnel(stages, process.sources, clients, deadline_ms=60_000, teacher=teacher)


def test_the_sample_lies_outside_the_survivors_and_is_logged_with_its_rate(world: Opened) -> None:
    funnel = _funnel(world, Teacher(1.0, 15))
    answer = asyncio.run(funnel.recommend(ask(user_id=some_user(world))))
    before = answer.shown.copy()
    assert funnel.teacher.wants(answer)
    asyncio.run(funnel.teach(answer))
    taught = answer.taught
    assert taught is not None
    assert answer.ranked is not None
    assert len(taught.rows) == 15
    assert not set(taught.rows) & set(answer.ranked.survivors)
    dropped = len(answer.candidates.pins) - len(answer.ranked.survivors)
    assert taught.rate == pytest.approx(15 / dropped)
    assert (answer.shown == before).all()
    assert (answer.stage_reached()[taught.rows] == WALKED).all()
    process = world.new_process()
    alone = replace(answer.ranked, survivors=taught.rows)
    direct = asyncio.run(funnel._stages.score(answer.ask, answer.candidates, alone, math.inf))
    np.testing.assert_allclose(taught.utility, direct.utility, rtol=1e-5, atol=1e-6)
    table = rows_to_table([log_row(answer, "r", "h", "", None)], "int64", process.features)
    logged = np.array(table["full_score"][0].as_py(), np.float32)
    assert np.isfinite(logged).sum() == 40 + 15
    assert table["teacher_rate"][0].as_py() == pytest.approx(taught.rate)
    untaught = asyncio.run(funnel.recommend(ask(user_id=some_user(world))))
    assert (
        rows_to_table([log_row(untaught, "r", "h", "", None)], "int64", process.features)["teacher_rate"][0].as_py()
        is None
    )
    actions = table.append_column("actions", pa.array([[0.0] * (2 * len(logged))], pa.list_(pa.float32())))
    request = next(read_requests(actions))
    assert request.teacher_rate == pytest.approx(taught.rate)


def test_about_the_asked_share_of_requests_is_taken_and_the_same_one_twice(world: Opened) -> None:
    funnel = _funnel(world, Teacher(0.25, 5))
    answer = asyncio.run(funnel.recommend(ask(user_id=some_user(world))))
    taken = [funnel.teacher.wants(replace(answer, ask=replace(answer.ask, seed=s))) for s in range(400)]
    assert 60 < sum(taken) < 140
    assert not Teacher(0.0).wants(answer)
    assert not Teacher(1.0).wants(replace(answer, scored=None))


def test_a_failing_teacher_leaves_the_answer_as_it_is(
    world: Opened, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    funnel = _funnel(world, Teacher(1.0, 5))
    answer = asyncio.run(funnel.recommend(ask(user_id=some_user(world))))

    async def broken(*_: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr(funnel._stages, "score", broken)
    asyncio.run(funnel.teach(answer))
    assert answer.taught is None
    assert not answer.degraded
    assert "teacher: RuntimeError: boom" in caplog.text


def test_weights_make_the_sample_stand_for_all_candidates() -> None:
    """Over many requests, the weighted mean target equals the mean over every candidate of every request."""
    rng, n, kept, drawn, share = np.random.default_rng(0), 200, 50, 20, 0.5
    stage = np.where(np.arange(n) < kept, 1, WALKED).astype(np.int8)
    truth, total, weights = [], 0.0, 0.0
    for i in range(600):
        utility = rng.normal(np.where(stage == WALKED, -1.0, 2.0), 0.3).astype(np.float32)
        truth.append(utility.mean())
        teacher = np.where(stage == WALKED, np.nan, utility).astype(np.float32)
        rate = float("nan")
        if rng.random() < share:
            rows = kept + rng.choice(n - kept, drawn, replace=False)
            teacher[rows], rate = utility[rows], share * drawn / (n - kept)
        none = np.zeros(n, np.float32)
        shown = LoggedCandidates(f"r{i}", stage, none > 0, np.zeros((n, 2), np.float32), none, teacher, rate)
        labels = label_request(RULE, shown)
        total += float(labels.weight @ labels.label)
        weights += float(labels.weight.sum())
    assert weights == pytest.approx(600 * n, rel=0.05)
    assert total / weights == pytest.approx(np.mean(truth), abs=0.05)


@pytest.mark.parametrize("later", ["teacher_rate", "filter", "explored_dropped", "exposure", "team", "milliseconds"])
def test_logs_without_the_column_read_and_compact_beside_those_with_it(
    tmp_path: Path, world: Opened, later: str
) -> None:
    process = world.new_process()
    answer = process.funnel.recommend_now(ask(user_id=some_user(world)))
    table = rows_to_table([log_row(answer, "new", "h", "", None)], "int64", process.features)
    old = rows_to_table([log_row(answer, "old", "h", "", None)], "int64", process.features).drop_columns([later])
    store = LogStore(tmp_path / "logs")
    paths = [*store.write_serving(old), *store.write_serving(table)]
    for path in paths:
        read = list(Read(("request_id", "client", "requested_at", later), Cut({"homefeed": LogWindow()}, {}))(
            pa.table({"path": [str(path)]})
        ))  # fmt: skip
        assert not read[0][later].to_pylist()[0]
    assert store.compact(store.dates()[0])["merged"] == 2
    merged = pq.read_table(store.serving_files().paths[0], partitioning=None)
    assert sorted(merged["request_id"].to_pylist()) == ["new", "old"]
    assert later in merged.column_names
