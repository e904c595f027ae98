"""The plan that orders later requests best is taken, bounded in cost, with its reason."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.bench.full.toy_log import CLIENTS, toy_schema, toy_table
from cluster.settings.clients import Client
from training.full import choose as choosing
from training.full.choose import choose, quality
from training.full.fit import fit_plan
from training.full.parts import Parts
from training.full.plan import NetworkPlan
from training.metrics.ranking import mean_ndcg
from training.ranker.batch import RequestBatch
from training.ranker.columns import LIGHTWEIGHT_SCORE
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.scorer import FullScorer
from training.ranker.utility import utility

PLAIN = toy_schema(shared=3, candidate=6, topics=4, length=0)
SCHEMA = replace(PLAIN, candidate=(*PLAIN.candidate[:-1], LIGHTWEIGHT_SCORE))
WORTH = {"save": 1.0, "click": 0.5, "hide": -1.0}
SHOPS = {name: Client(name=name, utility=WORTH) for name in CLIENTS}
FIT = FitConfig.debug().but(epochs=2, batch_requests=8, negatives=1.0)
LEARNS = NetworkPlan("learns", ModelConfig.small(), FIT.but(learning_rate=1e-2))
BLIND = NetworkPlan("blind", ModelConfig.small().but(residual=False, bins=0), FIT.but(learning_rate=1e-9))


def rows(folder: Path, name: str, requests: int, seed: int, days: int = 0) -> list[str]:
    """Toy rows of one part, a request a minute."""
    table = toy_table(PLAIN, requests, 20, seed=seed)
    at = np.datetime64("2026-01-01", "us") + np.timedelta64(days, "D") + np.arange(requests) * np.timedelta64(1, "m")
    path = folder / f"{name}.parquet"
    pq.write_table(table.append_column("requested_at", pa.array(at, pa.timestamp("us", tz="UTC"))), path)
    return [str(path)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    folder = tmp_path_factory.mktemp("rows")
    return Parts(rows(folder, "train", 64, 0), rows(folder, "valid", 40, 1, days=1), [])


def test_the_better_order_is_taken_with_its_reason(parts: Parts, tmp_path: Path) -> None:
    told: list[float] = []
    chosen = choose((BLIND, LEARNS), SCHEMA, parts, SHOPS, tmp_path, fit_plan, told.append)
    assert chosen.plan == LEARNS
    assert set(chosen.ndcg) == {"blind", "learns", "lightweight"}
    assert chosen.ndcg["learns"] > max(chosen.ndcg["blind"], chosen.ndcg["lightweight"])
    assert chosen.reason.startswith("learns: best NDCG@20 on 40 validation requests (blind 0.")
    assert told == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert FullScorer.open(chosen.model).config == LEARNS.model
    assert chosen.to_dict()["validation_ndcg@20"] == chosen.ndcg


def test_figures_are_those_of_the_utility_order(parts: Parts, tmp_path: Path) -> None:
    fit_plan(LEARNS, SCHEMA, parts, tmp_path / "model")
    table = pq.read_table(parts.valid[0])
    batch = RequestBatch.from_table(table, SCHEMA)
    assert batch.labels is not None
    score = utility(FullScorer.open(tmp_path / "model").score(batch), WORTH, SCHEMA.actions)
    worth = np.array([WORTH.get(action, 0.0) for action in SCHEMA.actions])
    assert quality(tmp_path / "model", table, SHOPS) == pytest.approx(
        mean_ndcg(score, batch.labels @ worth, batch.request, 20)
    )


def test_equal_figures_go_to_the_smaller_network(parts: Parts, tmp_path: Path) -> None:
    twin = replace(LEARNS, name="twin")
    assert choose((LEARNS, twin), SCHEMA, parts, SHOPS, tmp_path, fit_plan).plan.name == "learns"


def test_one_plan_is_fitted_without_a_trial(parts: Parts, tmp_path: Path) -> None:
    fitted: list[Any] = []

    def finish(*given: Any) -> dict[str, Any]:
        fitted.append(given)
        return {"steps": 1}

    chosen = choose((LEARNS,), SCHEMA, parts, SHOPS, tmp_path, finish)
    assert fitted == [(LEARNS, SCHEMA, parts, tmp_path / "learns")]
    assert chosen.fit == {"steps": 1}


def test_trials_of_a_long_log_see_its_newest_part(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "TRIAL_REQUESTS", 24)
    trials: list[Parts] = []

    def tried(plan: NetworkPlan, schema: Any, given: Parts, out: Path) -> dict[str, Any]:
        trials.append(given)
        return fit_plan(plan, schema, given, out)

    monkeypatch.setattr(choosing, "fit_plan", tried)
    chosen = choose((BLIND, LEARNS), SCHEMA, parts, SHOPS, tmp_path, fit_plan)
    assert [part.requests()["train"] for part in trials] == [24, 24]
    newest, whole = pq.read_table(trials[0].train[0]), pq.read_table(parts.train[0])
    names = ("requested_at", "client", "labels", "pin_hash")  # not the features: NaN equals nothing
    assert newest.select(names).equals(whole.slice(64 - 24).select(names))
    assert trials[0].valid == parts.valid
    assert chosen.fit["examples"] > 24 * 20 * FIT.epochs  # and once more on all of it
    assert "tried on the newest 24 of 64 requests" in chosen.reason
