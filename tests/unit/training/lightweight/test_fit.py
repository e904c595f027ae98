"""The fit inside a worker against plain XGBoost, the portable model, and the plan of concurrent runs."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ConfigError, ModelError
from cluster.settings.project import GbdtSettings
from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.training import examples, split
from training.lightweight.examples import TRAIN, VALID, block_arrays
from training.lightweight.fit import fit_one
from training.lightweight.jobs import FitJob, Fitted, parameters, plan_lanes
from training.lightweight.portable import make_portable
from training.lightweight.xgboost_ray import require_backend


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), ("homefeed",), requests=200, n=40)


def fit(world: LogsWorld, parts: int = 3, **changes: object) -> tuple[Fitted, list]:
    table = examples(world, "homefeed", split(world, "homefeed")[0])
    edges = np.linspace(0, table.num_rows, parts + 1).astype(int)
    blocks = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    job = FitJob("homefeed", 0, world.features.names, str(changes.pop("objective", "binary:logistic")), 0, blocks)
    settings = world.project.gbdt.model_copy(update=changes)
    return fit_one(job, settings, lambda: iter(blocks)), blocks


def stacked(blocks: list, split_code: int) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(p) for p in zip(*(block_arrays(b, 0, split_code) for b in blocks), strict=True))


def test_the_trees_are_those_of_plain_xgboost_on_the_same_matrix(world: LogsWorld) -> None:
    fast = {"learning_rate": 0.15}  # the 40 rounds of this world must be too many
    fitted, blocks = fit(world, **fast)
    settings, names = world.project.gbdt.model_copy(update=fast), list(world.features.names)
    (x, y, w), (vx, vy, vw) = stacked(blocks, TRAIN), stacked(blocks, VALID)
    train = xgb.QuantileDMatrix(x, label=y, weight=w, feature_names=names, max_bin=settings.max_bin)
    valid = xgb.QuantileDMatrix(vx, label=vy, weight=vw, feature_names=names, max_bin=settings.max_bin, ref=train)
    plain = xgb.train(
        parameters(settings, "binary:logistic", 1),
        train,
        settings.rounds,
        evals=[(valid, "valid")],
        early_stopping_rounds=settings.early_stopping_rounds,
        verbose_eval=False,
    )
    assert fitted.rounds == plain.best_iteration + 1 < settings.rounds  # it did stop early
    assert fitted.rows == len(x)
    assert fitted.loss == pytest.approx(plain.best_score, abs=2e-3)
    mine = xgb.Booster(model_file=bytearray(fitted.model))
    a = mine.predict(xgb.DMatrix(vx, feature_names=names))
    b = plain.predict(xgb.DMatrix(vx, feature_names=names), iteration_range=(0, fitted.rounds))
    # blocks are sketched one by one, so a cut may lie a rank beside that of the whole matrix
    assert np.corrcoef(a, b)[0, 1] > 0.995


@pytest.mark.parametrize("parts", [1, 7])
def test_blocks_below_a_batch_give_the_very_same_trees(world: LogsWorld, parts: int) -> None:
    fitted, blocks = fit(world, parts=parts)
    names = list(world.features.names)
    (x, y, w), (vx, _, _) = stacked(blocks, TRAIN), stacked(blocks, VALID)
    train = xgb.QuantileDMatrix(x, label=y, weight=w, feature_names=names, max_bin=256)
    plain = xgb.train(parameters(world.project.gbdt, "binary:logistic", 1), train, fitted.rounds)
    mine = xgb.Booster(model_file=bytearray(fitted.model))
    margins = [b.predict(xgb.DMatrix(vx, feature_names=names), output_margin=True) for b in (mine, plain)]
    np.testing.assert_array_equal(*margins)


def test_the_model_carries_its_features_and_a_scalar_base_score(world: LogsWorld, tmp_path: Path) -> None:
    for objective in ("binary:logistic", "reg:squarederror"):
        fitted, blocks = fit(world, objective=objective)
        fitted.save(tmp_path / "model.ubj")
        loaded = xgb.Booster(model_file=str(tmp_path / "model.ubj"))
        assert loaded.feature_names == list(world.features.names)
        assert loaded.num_boosted_rounds() == fitted.rounds
        x = stacked(blocks, VALID)[0]
        renewed = bytes(loaded.save_raw("ubj"))  # 3.x writes a vector again
        assert renewed != fitted.model
        assert make_portable(renewed) == make_portable(fitted.model) == fitted.model
        both = [
            xgb.Booster(model_file=bytearray(m)).inplace_predict(x, predict_type="margin")
            for m in (renewed, fitted.model)
        ]
        np.testing.assert_array_equal(*both)
    with pytest.raises(ModelError, match="base_score"):
        make_portable(b"nothing")


def test_several_outputs_cannot_be_made_portable() -> None:
    x = np.random.default_rng(0).random((50, 3))
    booster = xgb.train({"objective": "multi:softprob", "num_class": 3}, xgb.DMatrix(x, label=np.arange(50) % 3), 2)
    assert len(json.loads(json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"])) == 3
    with pytest.raises(ModelError, match="several outputs"):
        make_portable(bytes(booster.save_raw("ubj")))


def test_without_later_requests_it_boosts_to_the_end(world: LogsWorld) -> None:
    table = examples(world, "homefeed", split(world, "homefeed")[0])
    early = table.filter(np.asarray(table.column("split")) == TRAIN)
    settings = GbdtSettings(rounds=7, max_depth=2)
    fitted = fit_one(
        FitJob("homefeed", 0, world.features.names, "binary:logistic", 0, []), settings, lambda: iter([early])
    )
    assert fitted.rounds == 7
    assert np.isnan(fitted.loss)


@given(
    jobs=st.integers(1, 30),
    total=st.floats(1, 64),
    used=st.floats(0, 64),
    workers=st.integers(1, 4),
    cpus=st.floats(0.1, 8),
)
def test_runs_never_reserve_the_last_cpu_nor_one_that_is_taken(
    jobs: int, total: float, used: float, workers: int, cpus: float
) -> None:
    free = max(total - used, 0.0)
    settings = GbdtSettings(workers=workers, cpus_per_worker=cpus)
    lanes, reserve = plan_lanes(jobs, total, free, settings)
    assert 1 <= lanes <= jobs
    assert 0 <= reserve <= cpus
    assert lanes * workers * reserve <= min(total - 1, free) + 1e-9


def test_clients_train_side_by_side_where_there_are_cpus() -> None:
    assert plan_lanes(5, 2, 2, GbdtSettings()) == (1, 1.0)
    assert plan_lanes(5, 16, 16, GbdtSettings()) == (5, 1.0)
    assert plan_lanes(5, 9, 9, GbdtSettings(workers=2, cpus_per_worker=2)) == (2, 2.0)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost_ray", None)
    with pytest.raises(ConfigError, match=r"pinfunnel\[xgboost-ray\]"):
        require_backend("xgboost-ray")
    require_backend("ray-train")
