"""How many trees: by all folds of a short log, by the latest requests of a long one."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.training import examples, fit_job, joined_table, split
from training.lightweight.blocks import count_classes, named_counts, roles_in
from training.lightweight.examples import ClientExamples
from training.lightweight.fit import fit_one
from training.lightweight.jobs import RANK, FitJob, Fitted
from training.lightweight.rounds import FEW, FOLDS, fit_by_folds, fold_jobs, with_rounds
from training.lightweight.splits import TRAIN, VALID
from training.lightweight.strategies.registry import resolve
from training.log.attribution import as_datetime64
from training.log.moments import Moments


def _fitted(curve: list[float], loss: float = 0.5) -> Fitted:
    return Fitted("homefeed", b"", int(np.argmin(curve)) + 1, loss, 10, 0.0, "ray-train", curve=tuple(curve))


def test_the_least_mean_loss_over_the_folds_says_how_many() -> None:
    """The latest requests alone ended after one tree; beyond the shortest curve nothing is known."""
    once = _fitted([0.4, 0.5, 0.6], 0.4)
    folds = [_fitted([0.5, 0.4, 0.2, 0.3, 0.1]), _fitted([0.5, 0.4, 0.3, 0.2]), _fitted([0.3, 0.4, 0.2, 0.5])]
    chosen = with_rounds(once, folds)
    assert chosen.rounds == 3
    assert chosen.loss == pytest.approx(0.7 / 3)
    assert len(chosen.curve) == 4


def test_without_folds_or_without_later_requests_nothing_changes() -> None:
    once = _fitted([0.4, 0.5])
    assert with_rounds(once, []) is once
    assert with_rounds(once, [_fitted([0.4, 0.3]), replace(once, curve=())]).rounds == 2
    unstopped = replace(once, loss=float("nan"))
    assert with_rounds(unstopped, [once]) is unstopped


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), ("homefeed",), requests=200, n=40)


def _made(world: LogsWorld) -> tuple[FitJob, ClientExamples]:
    window = split(world, "homefeed")[0]
    block = examples(world, "homefeed", window)
    job = fit_job(world, "homefeed", window, rounds=15)
    rule = resolve(world.clients["homefeed"].labels, world.project.actions, world.project.negative_actions)
    counts = named_counts(count_classes(block, [job.split])[0])
    times = Moments.of(as_datetime64(joined_table(world, "homefeed", window).column("requested_at")))
    made = ClientExamples("homefeed", 0, world.features.names, rule, [block], job.split, counts, times)
    return job, made


def test_each_fold_stops_the_trees_of_all_the_others(world: LogsWorld) -> None:
    job, made = _made(world)
    block = made.blocks[0]
    jobs = fold_jobs(job, made)
    assert len(jobs) == FOLDS
    roles = np.stack([roles_in(block, 0, one.split) for one in jobs])
    assert ((roles == VALID).sum(axis=0) == 1).all()
    assert ((roles == TRAIN).sum(axis=0) == FOLDS - 1).all()
    sizes = (roles == VALID).sum(axis=1)
    assert sizes.max() - sizes.min() <= 0.2 * block.num_rows
    for one, before in itertools.pairwise(jobs):
        assert one.split != before.split
    asked: list[FitJob] = []

    def fit(given: Sequence[FitJob]) -> list[Fitted]:
        asked.extend(given)
        return [fit_one(one, lambda: iter([block])) for one in given]

    fitted = fit_by_folds([job], {"homefeed": made}, fit)[0]
    assert asked == [job, *jobs]
    again = fit_one(job.on_all(fitted), lambda: iter([block]))
    assert again.rounds == fitted.rounds
    assert again.rows == sum(len(row) for row in block.column("label").to_pylist())


def test_a_long_log_a_ranking_and_few_actions_have_no_folds(world: LogsWorld) -> None:
    job, made = _made(world)
    many = Moments.of(np.datetime64("2026-01-01", "us") + np.arange(FEW + 1))
    assert fold_jobs(job, replace(made, times=many)) == []
    assert fold_jobs(replace(job, objective=RANK), made) == []
    few = {"train": {**made.counts["train"], "action": 3}}
    assert fold_jobs(job, replace(made, counts=few)) == []
