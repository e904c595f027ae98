"""The extra `pinfunnel[xgboost-ray]`: the same fit through xgboost_ray.train; models that both xgboost versions load.

Run in an environment of its own (constraints-xgboost-ray.txt). Models of xgboost 3.x come from PINFUNNEL_MODELS, a
folder that `python -m tests.extra.models_of_both FOLDER` fills in the main environment.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

xgb = pytest.importorskip("xgboost")
pytest.importorskip("xgboost_ray")
if not xgb.__version__.startswith("2.0."):
    pytest.skip("needs the environment of the extra (xgboost 2.0.3)", allow_module_level=True)

from cluster.errors import ConfigError  # noqa: E402
from cluster.settings.project import GbdtSettings  # noqa: E402
from tests.extra.models_of_both import check_models, write_models  # noqa: E402
from tests.worlds.logs import LogsWorld, make_world  # noqa: E402
from tests.worlds.training import examples, split, time_split  # noqa: E402
from training.lightweight.blocks import ExampleRows, count_classes, named_counts  # noqa: E402
from training.lightweight.examples import ClientExamples  # noqa: E402
from training.lightweight.fit import fit_clients  # noqa: E402
from training.lightweight.jobs import FitJob, example_rows, parameters  # noqa: E402
from training.lightweight.splits import TRAIN, VALID, TimeSplit  # noqa: E402
from training.lightweight.strategies.registry import resolve  # noqa: E402
from training.lightweight.xgboost_ray import _told  # noqa: E402


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    import ray

    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), ("homefeed",), requests=160, n=40)


def alike_requests(table: pa.Table) -> pa.Table:
    """The examples with one weight for each request: this backend knows no other."""
    at = table.schema.get_field_index("request_weight")
    return table.set_column(at, table.schema.field(at), pa.array(np.ones(table.num_rows, np.float32)))


@pytest.mark.parametrize(("workers", "objective"), [(1, "logistic"), (2, "logistic"), (1, "rank")])
def test_the_backend_fits_the_trees_of_plain_xgboost(
    ray_cluster: None, world: LogsWorld, workers: int, objective: str
) -> None:
    import ray

    window = split(world, "homefeed")[0]
    table = alike_requests(examples(world, "homefeed", window))
    blocks = [table.slice(0, table.num_rows // 2), table.slice(table.num_rows // 2)]
    settings = GbdtSettings(
        backend="xgboost-ray", objective=objective, rounds=30, early_stopping_rounds=5, max_depth=3, workers=workers
    )
    rule = resolve(world.clients["homefeed"].labels, world.project.actions, world.project.negative_actions)
    times = time_split(world, "homefeed", window)
    counts = named_counts(count_classes(table, [times])[0])
    refs = [ray.put(block) for block in blocks]
    made = ClientExamples("homefeed", 0, world.features.names, rule, refs, times, counts)
    job = FitJob.of(made, settings)
    fitted = fit_clients({"homefeed": made}, settings)["homefeed"]
    assert fitted.backend == "xgboost-ray"
    rows, later = (ExampleRows.joined(list(example_rows(job, role, blocks))) for role in (TRAIN, VALID))
    assert fitted.rows == len(rows.x)
    names = list(world.features.names)
    told = [
        {"label": r.grade, "group": r.group} if objective == "rank" else {"label": r.label, "weight": r.weight}
        for r in (rows, later)
    ]
    plain = xgb.train(
        parameters(settings, job.objective, 1),
        xgb.DMatrix(rows.x, **told[0], feature_names=names),
        settings.rounds,
        evals=[(xgb.DMatrix(later.x, **told[1], feature_names=names), "valid")],
        early_stopping_rounds=settings.early_stopping_rounds,
        verbose_eval=False,
    )
    mine = xgb.Booster(model_file=bytearray(fitted.model))
    assert mine.feature_names == names
    best = 1.0 - plain.best_score if objective == "rank" else plain.best_score
    assert fitted.loss == pytest.approx(best, abs=0.01)
    a = mine.predict(xgb.DMatrix(later.x, feature_names=names))
    b = plain.predict(xgb.DMatrix(later.x, feature_names=names), iteration_range=(0, plain.best_iteration + 1))
    assert np.corrcoef(a, b)[0, 1] > 0.97


@pytest.mark.parametrize(("workers", "weights"), [(2, [1.0, 1.0]), (1, [1.0, 2.0])])
def test_a_ranking_that_the_backend_cannot_do_is_refused(workers: int, weights: list[float]) -> None:
    settings = GbdtSettings(backend="xgboost-ray", objective="rank", workers=workers)
    job = FitJob("ads", 0, ("f",), "rank:ndcg", 4, [], TimeSplit(np.datetime64("2026-01-01", "us")), settings)
    grade = np.array([0, 1, 0, 1], np.float32)
    rows = ExampleRows(
        np.ones((4, 1), np.float32), grade, grade, grade, np.array([2, 2]), np.array(weights, np.float32)
    )
    with pytest.raises(ConfigError, match="xgboost-ray ranks with one worker"):
        _told(job, rows)


def test_models_of_the_main_environment_load_here(tmp_path: Path) -> None:
    folder = os.environ.get("PINFUNNEL_MODELS")
    if not folder:
        pytest.skip(
            "set PINFUNNEL_MODELS to the folder that the main environment filled (tests/extra/models_of_both.py)"
        )
    assert check_models(Path(folder), "3.") == 3


def test_models_of_this_environment_are_left_for_the_main_one(tmp_path: Path) -> None:
    folder = Path(os.environ.get("PINFUNNEL_MODELS", tmp_path))
    write_models(folder)
    assert check_models(folder, "2.0.") == 3
