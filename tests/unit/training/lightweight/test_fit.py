"""The fit inside a worker against plain XGBoost, the portable model, and the plan of concurrent runs."""

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
import ray
import xgboost as xgb
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ConfigError, ModelError
from cluster.settings.project import GbdtSettings
from serving.forest.forest import Forest
from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.training import examples, fit_job, split
from training.lightweight import fit as fit_module
from training.lightweight.blocks import ExampleRows, roles_in
from training.lightweight.fit import fit_one
from training.lightweight.jobs import FitJob, Fitted, example_rows, parameters, plan_lanes
from training.lightweight.portable import make_portable
from training.lightweight.splits import TRAIN, VALID
from training.lightweight.xgboost_ray import require_backend


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), ("homefeed",), requests=200, n=40)


def fit(
    world: LogsWorld, parts: int = 3, objective: str = "binary:logistic", way: str = "auto", **changes: object
) -> tuple[Fitted, list, FitJob]:
    window = split(world, "homefeed")[0]
    table = examples(world, "homefeed", window)
    edges = np.linspace(0, table.num_rows, parts + 1).astype(int)
    blocks = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    job = fit_job(world, "homefeed", window, objective, objective_setting=way, **changes)
    return fit_one(job, lambda: iter(blocks)), blocks, job


def stacked(blocks: list, job: FitJob) -> tuple[ExampleRows, ExampleRows]:
    """Those that fit the trees, and the later ones."""
    fitted, later = (list(example_rows(job, role, blocks)) for role in (TRAIN, VALID))
    return ExampleRows.joined(fitted), ExampleRows.joined(later)


def expected_labels(rows: ExampleRows, objective: str) -> dict[str, np.ndarray]:
    """What XGBoost should be told, written out: a ranking takes grades and one weight a request."""
    if objective == "rank:ndcg":
        return {"label": rows.grade, "weight": rows.request_weight, "group": rows.group}
    return {"label": rows.label, "weight": rows.weight}


@pytest.mark.parametrize("objective", ["binary:logistic", "rank:ndcg"])
def test_the_trees_are_those_of_plain_xgboost_on_the_same_matrix(world: LogsWorld, objective: str) -> None:
    fast = {"learning_rate": 0.15}  # the 40 rounds of this world must be too many
    fitted, blocks, job = fit(world, objective=objective, **fast)
    settings, names = job.settings, list(world.features.names)
    rows, later = stacked(blocks, job)
    told, told_later = expected_labels(rows, objective), expected_labels(later, objective)
    train = xgb.QuantileDMatrix(rows.x, **told, feature_names=names, max_bin=settings.max_bin)
    valid = xgb.QuantileDMatrix(later.x, **told_later, feature_names=names, max_bin=settings.max_bin, ref=train)
    plain = xgb.train(
        parameters(settings, objective, 1),
        train,
        settings.rounds,
        evals=[(valid, "valid")],
        early_stopping_rounds=settings.early_stopping_rounds,
        verbose_eval=False,
    )
    assert fitted.rounds == plain.best_iteration + 1 < settings.rounds  # it did stop early
    assert fitted.rows == len(rows.x)
    best = 1.0 - plain.best_score if job.ranks else plain.best_score
    assert fitted.loss == pytest.approx(best, abs=2e-3)
    mine = xgb.Booster(model_file=bytearray(fitted.model))
    matrix = xgb.DMatrix(later.x, feature_names=names)
    a = mine.predict(matrix)
    b = plain.predict(matrix, iteration_range=(0, fitted.rounds))
    # blocks are sketched one by one, so a cut may lie a rank beside that of the whole matrix
    assert np.corrcoef(a, b)[0, 1] > 0.995


@pytest.mark.parametrize("objective", ["binary:logistic", "rank:ndcg"])
@pytest.mark.parametrize("parts", [1, 7])
def test_blocks_below_a_batch_give_the_very_same_trees(world: LogsWorld, parts: int, objective: str) -> None:
    fitted, blocks, job = fit(world, parts=parts, objective=objective)
    names = list(world.features.names)
    rows, later = stacked(blocks, job)
    train = xgb.QuantileDMatrix(rows.x, **expected_labels(rows, objective), feature_names=names, max_bin=256)
    plain = xgb.train(parameters(world.project.gbdt, objective, 1), train, fitted.rounds)
    mine = xgb.Booster(model_file=bytearray(fitted.model))
    margins = [b.predict(xgb.DMatrix(later.x, feature_names=names), output_margin=True) for b in (mine, plain)]
    np.testing.assert_array_equal(*margins)


def test_a_ranking_goes_on_from_logistic_trees(world: LogsWorld) -> None:
    fitted, blocks, job = fit(world, objective="rank:ndcg", way="both", learning_rate=0.15)
    settings, names = job.settings, list(world.features.names)
    rows, later = stacked(blocks, job)
    assert len(rows.group) > len(rows.of_several_grades().group)  # logistic loss learns from all of them
    matrices = {}
    for objective in ("binary:logistic", "rank:ndcg"):
        train = xgb.QuantileDMatrix(rows.x, **expected_labels(rows, objective), feature_names=names, max_bin=256)
        told = expected_labels(later, objective)
        matrices[objective] = train, xgb.QuantileDMatrix(later.x, **told, feature_names=names, max_bin=256, ref=train)
    plain = None
    for objective, rounds in (("binary:logistic", 40), ("rank:ndcg", 10)):
        train, valid = matrices[objective]
        given = parameters(settings, objective, 1)
        watched = {"evals": [(valid, "valid")], "early_stopping_rounds": 5, "verbose_eval": False}
        plain = xgb.train(given, train, rounds, xgb_model=plain and bytearray(plain.save_raw("ubj")), **watched)
        plain = plain[: plain.best_iteration + 1]
    mine = xgb.Booster(model_file=bytearray(fitted.model))
    assert fitted.rounds == mine.num_boosted_rounds() == plain.num_boosted_rounds()
    assert 0 < fitted.loss < 1
    matrix = xgb.DMatrix(later.x, feature_names=names)
    a, b = (one.predict(matrix, output_margin=True) for one in (mine, plain))
    # batches are sketched block by block, so a cut may lie a rank beside that of the whole matrix
    assert np.corrcoef(a, b)[0, 1] > 0.99


@pytest.mark.parametrize("objective", ["binary:logistic", "rank:ndcg"])
@pytest.mark.parametrize("most", [1, 700])
def test_workers_and_batches_share_whole_requests(
    world: LogsWorld, monkeypatch: pytest.MonkeyPatch, objective: str, most: int
) -> None:
    monkeypatch.setattr(fit_module, "BATCH_ROWS", most)
    _, blocks, job = fit(world, parts=5, objective=objective)
    whole, _ = stacked(blocks, job)
    bounds = np.append(0, np.cumsum(whole.group))
    requests = {whole.x[a:b].tobytes() for a, b in itertools.pairwise(bounds)}
    met = []
    for rank in range(3):
        for batch in fit_module._batches(job, TRAIN, blocks, rank, 3):
            ends = np.append(0, np.cumsum(batch.group))
            assert ends[-1] == len(batch.x) == len(batch.grade)
            met += [batch.x[a:b].tobytes() for a, b in itertools.pairwise(ends)]
    assert len(met) == len(set(met)) == len(whole.group)
    assert set(met) == requests


def test_a_ranking_learns_from_the_requests_that_have_an_order(world: LogsWorld) -> None:
    _, blocks, job = fit(world, objective="rank:ndcg")
    everything = ExampleRows.joined([ExampleRows.of(b, np.ones(b.num_rows, bool)) for b in blocks])
    starts = np.append(0, np.cumsum(everything.group))
    mixed = [len(np.unique(everything.grade[a:b])) > 1 for a, b in itertools.pairwise(starts)]
    assert 0 < sum(mixed) < len(mixed)
    assert sum(len(rows.group) for role in (TRAIN, VALID) for rows in example_rows(job, role, blocks)) == sum(mixed)
    alike = replace(everything, grade=np.zeros_like(everything.grade))
    assert not len(alike.of_several_grades().group)


@pytest.mark.parametrize("objective", ["binary:logistic", "reg:squarederror", "rank:ndcg"])
def test_the_model_carries_its_features_and_a_scalar_base_score(
    world: LogsWorld, tmp_path: Path, objective: str
) -> None:
    fitted, blocks, job = fit(world, objective=objective)
    fitted.save(tmp_path / "model.ubj")
    loaded = xgb.Booster(model_file=str(tmp_path / "model.ubj"))
    assert loaded.feature_names == list(world.features.names)
    assert loaded.num_boosted_rounds() == fitted.rounds
    x = stacked(blocks, job)[1].x
    renewed = bytes(loaded.save_raw("ubj"))  # 3.x writes a vector again
    assert renewed != fitted.model
    assert make_portable(renewed) == make_portable(fitted.model) == fitted.model
    both = [
        xgb.Booster(model_file=bytearray(m)).inplace_predict(x, predict_type="margin") for m in (renewed, fitted.model)
    ]
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("objective", ["binary:logistic", "rank:ndcg"])
def test_serving_scores_the_model_bit_for_bit(world: LogsWorld, tmp_path: Path, objective: str) -> None:
    fitted, blocks, job = fit(world, objective=objective)
    fitted.save(tmp_path / "model.ubj")
    shared = len(world.features.shared)
    forest = Forest.load(tmp_path / "model.ubj", shared)
    assert forest.supported
    x = stacked(blocks, job)[1].x[:200]
    x[:, :shared] = x[0, :shared]
    booster = xgb.Booster(model_file=bytearray(fitted.model))
    margins = booster.predict(xgb.DMatrix(x, feature_names=list(world.features.names)), output_margin=True)
    np.testing.assert_array_equal(forest.margins(x[0, :shared], x[:, shared:]), margins)
    np.testing.assert_array_equal(forest.predict(x[0, :shared], x[:, shared:]) == margins, objective == "rank:ndcg")


def test_what_is_no_model_cannot_be_made_portable() -> None:
    with pytest.raises(ModelError, match="base_score"):
        make_portable(b"nothing")


def test_several_outputs_cannot_be_made_portable() -> None:
    x = np.random.default_rng(0).random((50, 3))
    booster = xgb.train({"objective": "multi:softprob", "num_class": 3}, xgb.DMatrix(x, label=np.arange(50) % 3), 2)
    assert len(json.loads(json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"])) == 3
    with pytest.raises(ModelError, match="several outputs"):
        make_portable(bytes(booster.save_raw("ubj")))


def test_a_monotone_feature_may_only_raise_the_score(world: LogsWorld) -> None:
    name = "cross_history_topic"  # decides in this world: more of it is better
    column = world.features.names.index(name)
    margins = {}
    for sign in (1, -1):
        fitted, blocks, job = fit(world, objective="rank:ndcg", monotone={name: sign})
        x = np.repeat(stacked(blocks, job)[1].x[:20], 30, axis=0)
        x[:, column] = np.tile(np.linspace(0, 1, 30), 20)
        booster = xgb.Booster(model_file=bytearray(fitted.model))
        found = booster.predict(xgb.DMatrix(x, feature_names=list(world.features.names)), output_margin=True)
        margins[sign] = np.diff(found.reshape(20, 30), axis=1)
    assert (margins[1] >= 0).all()
    assert (margins[1] > 0).any()
    assert (margins[-1] <= 0).all()


def test_a_ranking_without_an_order_to_learn_says_so(world: LogsWorld) -> None:
    window = split(world, "homefeed")[0]
    table = examples(world, "homefeed", window)
    flat = [np.zeros(n, np.float32) for n in table.column("grade").combine_chunks().value_lengths().to_pylist()]
    index = table.schema.get_field_index("grade")
    alike = table.set_column(index, "grade", pa.array(flat, table.schema.field("grade").type))
    job = fit_job(world, "homefeed", window, "rank:ndcg")
    with pytest.raises(ModelError, match="no request has examples of several worths"):
        fit_one(job, lambda: iter([alike]))


def test_without_later_requests_it_boosts_to_the_end(world: LogsWorld) -> None:
    window = split(world, "homefeed")[0]
    job = fit_job(world, "homefeed", window, rounds=7, max_depth=2)
    table = examples(world, "homefeed", window)
    early = table.filter(roles_in(table, 0, job.split) == TRAIN)
    fitted = fit_one(job, lambda: iter([early]))
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


def test_workers_ask_for_the_custom_resources_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[tuple[int, dict[str, float]]] = []
    for name in ("cluster_resources", "available_resources"):
        monkeypatch.setattr(ray, name, lambda: {"CPU": 2.0, "memory_heavy": 1.0})
    monkeypatch.setattr(fit_module, "run_trainer", lambda _, workers, reserve, __: asked.append((workers, reserve)))
    jobs = cast(list[FitJob], [SimpleNamespace(rows=9)])
    fit_module._fit_lanes(jobs, GbdtSettings(resources={"memory_heavy": 0.1}), None, local_rows=0)
    assert not caplog.records
    fit_module._fit_lanes(jobs, GbdtSettings(resources={"memory_hevy": 0.1}), None, local_rows=0)
    assert asked == [(1, {"CPU": 1.0, "memory_heavy": 0.1}), (1, {"CPU": 1.0, "memory_hevy": 0.1})]
    assert "gbdt.resources: no node has `memory_hevy`, nodes have `memory_heavy`" in caplog.text


def test_clients_train_side_by_side_where_there_are_cpus() -> None:
    assert plan_lanes(5, 2, 2, GbdtSettings()) == (1, 1.0)
    assert plan_lanes(5, 16, 16, GbdtSettings()) == (5, 1.0)
    assert plan_lanes(5, 9, 9, GbdtSettings(workers=2, cpus_per_worker=2)) == (2, 2.0)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost_ray", None)
    with pytest.raises(ConfigError, match=r"constraints-xgboost-ray\.txt"):
        require_backend("xgboost-ray")
    require_backend("ray-train")
