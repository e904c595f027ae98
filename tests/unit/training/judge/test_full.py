"""The report on a full ranker: what a position did for an action must not count for the order that made the log."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest

from apps.bench.full.toy_log import nested, toy_schema, toy_table
from cluster.settings.clients import Client
from tests.worlds.ranker import SCHEMA, toy_batch, toy_model
from training.judge.full import FullReport, evaluate_full
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
