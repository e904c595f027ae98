"""Out-of-fold scores of a lightweight ranker on a local Ray: no model has seen the requests that it scores."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import ray
import xgboost as xgb

from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.training import joined_table, split
from training.judge.orders import booster_order
from training.lightweight import judged_requests
from training.lightweight.blocks import roles_in
from training.lightweight.cross_fit import CrossFitted, cross_fit
from training.lightweight.examples import build_examples
from training.lightweight.fit import fit_all
from training.lightweight.jobs import FitJob
from training.lightweight.judged_requests import cross_judged
from training.lightweight.splits import LEFT_OUT, inside, split_without
from training.log.arrays import Request, read_requests
from training.log.attribution import as_datetime64
from training.log.moments import Moments
from training.log.requests import join_logs
from training.log.tasks import LogWindow
from training.metrics.intervals import bootstrap
from training.metrics.ranking import ndcg, order_by

pytestmark = pytest.mark.usefixtures("ray_session")

FOLDS = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), ("homefeed",), requests=160, n=40)


@pytest.fixture(scope="module")
def window(world: LogsWorld) -> LogWindow:
    return split(world, "homefeed")[0]


@pytest.fixture(scope="module")
def crossed(world: LogsWorld, window: LogWindow) -> CrossFitted:
    joined = join_logs(world.project, world.logs, ["homefeed"])
    return cross_fit(joined, world.clients, {"homefeed": window}, folds=FOLDS)["homefeed"]


def timed(world: LogsWorld) -> list[tuple[Request, np.datetime64]]:
    table = joined_table(world, "homefeed")
    at = as_datetime64(table.column("requested_at"))
    return [(request, at[request.row]) for request in read_requests(table)]


def test_each_fold_is_scored_by_the_trees_of_all_others(
    world: LogsWorld, window: LogWindow, crossed: CrossFitted
) -> None:
    """Each fold's model equals one that is fitted on a log from which the fold's requests are gone."""
    joined = join_logs(world.project, world.logs, ["homefeed"])
    made = build_examples(joined, world.clients, {"homefeed": window})["homefeed"]
    moments = timed(world)
    for number, fold in enumerate(made.times.folds(FOLDS)):
        mine = [(r, at) for r, at in moments if inside(window, at) and inside(fold, at)]
        assert len(mine) > 30
        blocks = []
        for block in ray.get(made.blocks):
            held = inside(fold, as_datetime64(block.column("requested_at")))
            blocks.append(ray.put(block.filter(~held)))
        rest = split_without(made.times.without([fold]))
        job = FitJob.of(replace(made, blocks=blocks, split=rest), world.project.gbdt)
        (fitted,) = fit_all([job], world.project.gbdt)
        alone = xgb.Booster(model_file=bytearray(fitted.model))
        for request, at in mine:
            assert crossed.fold(at) == number
            matrix = xgb.DMatrix(request.matrix(), feature_names=list(world.features.names))
            np.testing.assert_array_equal(crossed.margins(request, at), alone.predict(matrix, output_margin=True))


def test_the_roles_of_a_fold_leave_its_requests_out(world: LogsWorld, window: LogWindow) -> None:
    joined = join_logs(world.project, world.logs, ["homefeed"])
    made = build_examples(joined, world.clients, {"homefeed": window})["homefeed"]
    for fold in made.times.folds(FOLDS):
        used = split_without(made.times, [fold])
        for block in ray.get(made.blocks):
            roles = roles_in(block, 0, used)
            held = inside(fold, as_datetime64(block.column("requested_at")))
            np.testing.assert_array_equal(roles == LEFT_OUT, held)


def test_later_requests_are_scored_by_the_final_model(
    world: LogsWorld, window: LogWindow, crossed: CrossFitted
) -> None:
    joined = join_logs(world.project, world.logs, ["homefeed"])
    made = build_examples(joined, world.clients, {"homefeed": window})
    (whole,) = fit_all([FitJob.of(made["homefeed"], world.project.gbdt)], world.project.gbdt)
    assert crossed.final == whole.model
    serving = crossed.models[0]
    given = cross_fit(joined, world.clients, {"homefeed": window}, final={"homefeed": serving}, folds=FOLDS)["homefeed"]
    later = [(r, at) for r, at in timed(world) if not inside(window, at)]
    assert len(later) > 30
    for request, at in later:
        assert crossed.fold(at) == FOLDS
        matrix = xgb.DMatrix(request.matrix(), feature_names=list(world.features.names))
        for scorer, model in ((crossed, whole.model), (given, serving)):
            one = xgb.Booster(model_file=bytearray(model)).predict(matrix, output_margin=True)
            np.testing.assert_array_equal(scorer.margins(request, at), one)


def test_it_travels_to_other_processes(world: LogsWorld, crossed: CrossFitted) -> None:
    request, at = timed(world)[0]
    mine = crossed.margins(request, at)  # loads a booster, which stays behind
    there: CrossFitted = pickle.loads(pickle.dumps(crossed))
    np.testing.assert_array_equal(there.margins(request, at), mine)
    assert mine.dtype == np.float32
    assert mine.shape == (request.n,)


def test_scores_of_seen_requests_would_flatter(world: LogsWorld, window: LogWindow, crossed: CrossFitted) -> None:
    """Why there are folds: the model of all ranks its own requests far better than one that has not seen them."""
    gain = []
    whole = xgb.Booster(model_file=bytearray(crossed.final))
    for request, at in timed(world):
        if inside(window, at):
            matrix = xgb.DMatrix(request.matrix(), feature_names=list(world.features.names))
            saved, shown = request.actions[:, 0], request.stage >= 2
            two = [
                ndcg(saved[shown][order_by(score[shown])], 10)
                for score in (whole.predict(matrix), crossed.margins(request, at))
            ]
            gain.append(two[0] - two[1])
    assert bootstrap(np.array(gain)).low > 0


def test_a_client_with_nothing_to_learn_from_has_no_scorer(world: LogsWorld) -> None:
    joined = join_logs(world.project, world.logs, ["homefeed"])
    first = min(at for _, at in timed(world))
    few = LogWindow(until=first + np.timedelta64(1, "s"))
    assert cross_fit(joined, world.clients, {"homefeed": few}) == {}


def test_training_requests_judge_by_trees_that_never_saw_them(world: LogsWorld, window: LogWindow) -> None:
    """Each part's scores are those of the trees of all others, and no request is left out or judges twice."""
    joined = join_logs(world.project, world.logs, ["homefeed"])
    made = build_examples(joined, world.clients, {"homefeed": window})["homefeed"]
    settings = world.project.gbdt
    judged = cross_judged(joined, {"homefeed": made}, {"homefeed": settings})["homefeed"]
    assert judged.crossed == len(judged.requests) == len(judged.scores) == len(made.times)
    scores = {r.request_id: s for r, s in zip(judged.requests, judged.scores, strict=True)}
    times = {r.request_id: at for r, at in timed(world)}
    assert sorted(times[name] for name in scores) == list(made.times.first)
    for part in np.array_split(made.times.first, judged_requests.FOLDS):
        fold = LogWindow(part[0], part[-1] + np.timedelta64(1, "us"))
        job = FitJob.of(replace(made, split=split_without(made.times, [fold])), settings)
        alone = booster_order(fit_all([job], settings)[0].model, world.features.names)
        mine = [r for r in judged.requests if inside(fold, times[r.request_id])]
        assert mine
        for request, score in zip(mine, alone(mine), strict=True):
            np.testing.assert_allclose(scores[request.request_id], score, rtol=1e-5)


def test_where_the_parts_cannot_teach_each_other_nothing_is_judged(world: LogsWorld, window: LogWindow) -> None:
    joined = join_logs(world.project, world.logs, ["homefeed"])
    made = build_examples(joined, world.clients, {"homefeed": window})["homefeed"]
    settings = {"homefeed": world.project.gbdt}
    one = made.times.inside(LogWindow(until=made.times.first[1]))
    for unable in (replace(made, blocks=[]), replace(made, times=one), replace(made, times=Moments())):
        assert cross_judged(joined, {"homefeed": unable}, settings) == {}
