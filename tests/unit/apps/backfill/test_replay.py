"""Replayed history: only what was known then is used, labels are what came next, stages are judged on it."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.reports.stages import evaluate_stages
from apps.reports.stages_quality import judged
from cluster.data.schema import IMPRESSED
from cluster.store.log_parts import read_part
from tests.worlds.funnel import opened_world, publish_lightweight

PLAN = ReplayPlan(graphs=2, every=16, min_history=2, horizon_hours=240.0)


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return Replay(opened_world(tmp_path_factory.mktemp("replay")))


def test_only_the_past_is_known(replay: Replay) -> None:
    seen = 0
    for moment in replay.run("homefeed", PLAN):
        ask, candidates = moment.answer.ask, moment.answer.candidates
        seen += 1
        assert (candidates.sequence.occurred_at < ask.at).all()
        assert (moment.next_at >= ask.at).all()
        assert not set(moment.next_pins.tolist()) & set(ask.exclude)
        assert not set(candidates.pin_ids.tolist()) & set(ask.exclude)
        meta = replay.process.store.open("graph", candidates.graph_version, verify=False).meta
        assert datetime.fromisoformat(meta["edges_before"]) <= datetime.fromtimestamp(ask.at / 1e6, UTC)
    assert seen > 20
    assert replay.process.store.current("graph") != moment.answer.candidates.graph_version  # never published


def test_what_came_next_becomes_labels(replay: Replay) -> None:
    done = backfill(replay, "homefeed", PLAN)
    logs = replay.process.logs
    files = logs.serving_files("homefeed")
    assert files.rows == done.requests > 20
    assert 0.0 < done.reach <= 1.0
    events, _ = logs.read_events()
    labels: dict[str, set[int]] = {}
    for request, pin in zip(events["request_id"].to_pylist(), events["pin_id"].to_pylist(), strict=True):
        labels.setdefault(request, set()).add(pin)
    for path in files.paths:
        for row in read_part(path).to_pylist():
            shown = {p for p, s in zip(row["pin_id"], row["stage"], strict=True) if s == IMPRESSED}
            assert shown == set(row["pin_id"]) & labels[row["request_id"]]
            assert set(row["position"]) == {-1}


def test_stages_are_compared_on_the_same_requests(replay: Replay) -> None:
    process = replay.process
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1)
    process.watcher("lightweight").poll()
    quality = evaluate_stages(replay, "homefeed", PLAN)
    recall, ndcg = quality.figures["recall@50"], quality.figures["ndcg@20"]
    assert {"popularity", "visit_count", "lightweight"} <= set(recall)
    assert len({interval.n for interval in ndcg.values()}) == 1
    assert all(0 <= interval.mean <= 1 for interval in recall.values())
    assert "lightweight - visit_count ndcg@20" in quality.differences
    told = quality.as_json()
    assert {"requests", "users", "recall_at", "ndcg_at", "recall", "ndcg", "differences"} <= set(told)
    assert (told["recall_at"], told["ndcg_at"]) == (50, 20)
    assert told["ndcg"]["lightweight"]["mean"] == ndcg["lightweight"].mean
    assert "lightweight - visit_count ndcg" in told["differences"]


def test_recall_and_ndcg_by_hand() -> None:
    order, relevant = np.array([5, 1, 9, 2]), np.array([1, 2, 77])
    recall, ndcg = judged(order, relevant, {"survivors": (2,), "head": (3,)}).values()
    assert recall == pytest.approx(1 / 3)
    assert ndcg == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3) + 1 / 2))


def test_history_without_times_of_edges_is_refused(tmp_path: Path) -> None:
    from cluster.errors import DataError

    opened = opened_world(tmp_path)
    file = next((tmp_path / "edges").glob("*.parquet"))
    pq.write_table(pq.read_table(file).drop_columns(["saved_at"]), file)
    with pytest.raises(DataError, match="saved_at"):
        Replay(opened)
