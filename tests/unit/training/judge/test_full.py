"""The report on a full ranker: what a position did for an action must not count for the order that made the log."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest

from apps.bench.full.toy_log import nested, toy_schema, toy_table
from cluster.settings.clients import Client, StageSizes
from tests.worlds.ranker import SCHEMA, toy_batch, toy_model
from training.judge.full import FullReport, evaluate_full
from training.judge.gate import decide
from training.ranker.batch import RequestBatch
from training.ranker.scorer import FullScorer

LIKED = replace(toy_schema(shared=2, candidate=3, topics=2, length=2), candidate=("graph_score", "pin_1", "pin_2"))
SLOTS = 12
LOOKED_AT = 1.0 / (1.0 + np.arange(SLOTS))  # chance that a position is seen
CLIENTS = {name: Client(name=name, utility={"save": 1.0, "click": 0.5}) for name in LIKED.clients}


@dataclass
class Guess:
    """Stands for a full ranker whose (small) scores say nothing; it may know what positions do."""

    knows_positions: bool

    def score(self, batch: RequestBatch) -> np.ndarray:
        return np.random.default_rng(0).random((batch.n_candidates, len(LIKED.actions)), np.float32) * 0.01

    def position_odds(self, batch: RequestBatch) -> np.ndarray:
        assert batch.position is not None
        odds = LOOKED_AT[batch.position] / LOOKED_AT.mean() if self.knows_positions else np.ones(batch.n_candidates)
        return np.repeat(odds[:, None], len(LIKED.actions), axis=1)


def report(knows_positions: bool) -> FullReport:
    """On answers in an order that says nothing either, where people see the first pins and few others."""
    rng, n = np.random.default_rng(1), 4000
    rows = toy_table(LIKED, requests=n, candidates=SLOTS, seed=1)
    chance = rng.uniform(0.0, 0.2, (n, SLOTS, 1)) * LOOKED_AT[:, None]
    labels = (rng.random((n, SLOTS, len(LIKED.actions))) < chance).astype(np.float32)
    at = rows.schema.get_field_index("labels")
    rows = rows.set_column(at, "labels", nested(labels.ravel(), np.full(n, labels[0].size)))
    as_shown = pa.array([-np.arange(SLOTS, dtype=np.float32)] * n)
    model: FullScorer = Guess(knows_positions)  # type: ignore[assignment]
    return evaluate_full(rows.append_column("order_score", as_shown), LIKED, CLIENTS, {"full": model})


def test_the_order_of_the_log_wins_nothing_by_its_positions() -> None:
    naive, fair = (report(knows).differences["without_full"]["all"] for knows in (False, True))
    assert naive.high < -0.1  # people acted on what stood first, so no other order can look as good
    assert fair.low < 0.02
    assert fair.high > -0.02
    assert abs(fair.mean) < abs(naive.mean) / 5


def test_rows_without_that_order_are_judged_without_it() -> None:
    rows = toy_table(LIKED, requests=20, candidates=SLOTS, seed=1)
    model: FullScorer = Guess(True)  # type: ignore[assignment]
    assert set(evaluate_full(rows, LIKED, CLIENTS, {"full": model}).ndcg) == {"full", "visit_count"}


def replayed_rows(requests: int, acted_only: bool) -> pa.Table:
    """Requests that showed nothing, each with an action on the first candidate, or on every one."""
    rows = toy_table(LIKED, requests=requests, candidates=SLOTS, seed=2)
    labels = np.zeros((requests, SLOTS, len(LIKED.actions)), np.float32)
    labels[:, :, 0] = 1.0 if acted_only else np.arange(SLOTS) == 0
    for name, values in (
        ("labels", nested(labels.ravel(), np.full(requests, labels[0].size))),
        ("position", nested(np.full(requests * SLOTS, -1, np.int16), np.full(requests, SLOTS))),
    ):
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    return rows


def test_replayed_requests_are_judged_over_all_their_candidates() -> None:
    model: FullScorer = Guess(False)  # type: ignore[assignment]
    found = evaluate_full(replayed_rows(300, acted_only=False), LIKED, CLIENTS, {"full": model})
    assert found.alike == 0
    by_chance = np.mean(1 / np.log2(np.arange(SLOTS) + 2) * (np.arange(SLOTS) < 10))
    assert found.ndcg["full"]["all"].low < by_chance < found.ndcg["full"]["all"].high
    assert found.actions["full"]["save"]["auc"] == pytest.approx(0.5, abs=0.08)


def test_a_full_ranker_is_judged_behind_the_stage_before_it() -> None:
    """It cannot bring back a candidate of a replayed request that does not survive to it."""
    rows = replayed_rows(60, acted_only=False)
    last = pa.array([np.arange(SLOTS, dtype=np.float32)] * 60)  # the one that is acted on comes last before it
    rows = rows.append_column("order_score", last)

    class Seer(Guess):
        def score(self, batch: RequestBatch) -> np.ndarray:
            assert batch.labels is not None
            return 0.1 + 0.8 * batch.labels

    model: FullScorer = Seer(False)  # type: ignore[assignment]
    for survivors, found in ((SLOTS, 1.0), (SLOTS - 1, 0.0)):  # NDCG@10, and it stands twelfth
        sizes = StageSizes(lightweight=survivors, answer=1)
        clients = {name: client.model_copy(update={"sizes": sizes}) for name, client in CLIENTS.items()}
        assert evaluate_full(rows, LIKED, clients, {"full": model}).ndcg["full"]["all"].mean == pytest.approx(found)


def test_requests_with_nothing_but_actions_cannot_tell_orders_apart() -> None:
    model: FullScorer = Guess(False)  # type: ignore[assignment]
    found = evaluate_full(replayed_rows(300, acted_only=True), LIKED, CLIENTS, {"full": model})
    assert found.alike == 300
    assert found.differences["visit_count"]["all"].n == 0
    decision = decide(
        found.differences["visit_count"]["all"], "visit count", found.finite, found.constant, alike=found.alike
    )
    assert "cannot tell orders apart" in decision.reason


def test_intervals_resample_users() -> None:
    model: FullScorer = Guess(False)  # type: ignore[assignment]
    rows = toy_table(LIKED, requests=60, candidates=SLOTS, seed=1)
    alone = evaluate_full(rows, LIKED, CLIENTS, {"full": model}).ndcg["visit_count"]["all"]
    often = pa.concat_tables([rows] * 20).append_column("user", pa.array(np.tile(np.arange(60), 20)))
    by_user = evaluate_full(often, LIKED, CLIENTS, {"full": model}).ndcg["visit_count"]["all"]
    assert by_user.n == 20 * alone.n
    assert (by_user.low, by_user.high) == pytest.approx((alone.low, alone.high))


@pytest.mark.parametrize(("step", "constant"), [(0.0, True), (0.001, False)])
def test_one_score_for_a_whole_request_is_no_order(step: float, constant: bool) -> None:
    class OneScore(Guess):
        def score(self, batch: RequestBatch) -> np.ndarray:
            slot = np.arange(batch.n_candidates) % SLOTS
            score = batch.request * 0.001 + step * (slot == 3)
            return np.repeat(score[:, None], len(LIKED.actions), axis=1).astype(np.float32)

    model: FullScorer = OneScore(False)  # type: ignore[assignment]
    rows = toy_table(LIKED, requests=20, candidates=SLOTS, seed=1)
    assert evaluate_full(rows, LIKED, CLIENTS, {"full": model}).constant is constant


def test_a_model_tells_what_it_learnt_of_positions() -> None:
    model, batch = toy_model(), toy_batch()
    assert model.position is not None
    np.testing.assert_array_equal(FullScorer(SCHEMA, model.config, model).position_odds(batch), 1.0)  # nothing learnt
    with np.errstate(all="raise"):
        model.position.everyone.data[0] = 1.0
        odds = FullScorer(SCHEMA, model.config, model).position_odds(batch)
    assert batch.position is not None
    first = batch.position == 0
    np.testing.assert_allclose(odds[first] / odds[batch.position == 1][0], np.e, rtol=1e-5)
    batch.position[:] = -1
    assert FullScorer(SCHEMA, model.config, model).position_odds(batch) == pytest.approx(1.0)
