"""The trees of a client chosen by folds of time within its training log, on a local Ray."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.settings.project import GbdtSettings
from cluster.store.bundles import BundleStore
from tests.worlds.logs import LogsWorld, make_world, project_at
from training.judge.position import PositionEffect
from training.lightweight import choose as choosing
from training.lightweight.choose import Choice, choose
from training.lightweight.examples import ClientExamples, build_examples
from training.lightweight.train import train_lightweight
from training.log.arrays import Request
from training.log.requests import join_logs
from training.log.windows import windows_of

pytestmark = pytest.mark.usefixtures("ray_session")

POOR = {"objective": "logistic", "max_depth": 1, "rounds": 1, "column_share": 0.02}
"""One stump of a feature or two: any other candidate is better."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    home = tmp_path_factory.mktemp("logs")
    project = project_at(home, gbdt=GbdtSettings(rounds=40, early_stopping_rounds=5))
    return make_world(home, ("homefeed",), requests=200, n=40, project=project)


@pytest.fixture
def openly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "MIN_JUDGED", 40)
    monkeypatch.setattr(choosing, "GRID", {"poor": POOR, **choosing.GRID})


def rows_of(examples: ClientExamples) -> int:
    return sum(sum(of_class.values()) for of_class in examples.counts.values())


def chosen(world: LogsWorld, **options: Any) -> Choice:
    joined = join_logs(world.project, world.logs, ["homefeed"])
    windows = windows_of(joined, ["homefeed"], 0.2)[0]
    examples = build_examples(joined, world.clients, windows)
    return choose(joined, world.clients, examples, world.project.gbdt, **options)["homefeed"]


def test_a_log_of_few_requests_keeps_the_default(world: LogsWorld) -> None:
    found = chosen(world)
    assert found.settings == world.project.gbdt.model_copy(update={"objective": "logistic"})
    assert "80 requests are too few to choose by" in found.reason  # half of the 160 that train
    assert not found.figures


@pytest.mark.usefixtures("openly")
def test_folds_choose_what_is_better_and_the_same_again(world: LogsWorld) -> None:
    found = chosen(world)
    assert found.name != "poor"
    assert set(found.figures) == set(choosing.GRID)
    gain = found.figures[found.name]["against_first"]
    assert gain["low"] > 0
    assert 40 <= gain["n"] <= 80
    assert found.figures["poor"]["rounds"] == [1, 1]
    assert chosen(world).to_dict() == found.to_dict()


@pytest.mark.usefixtures("openly")
def test_positions_weigh_in_the_choice_as_in_the_gate(world: LogsWorld) -> None:
    asked: list[tuple[str, int]] = []

    def learnt(client: str, requests: Sequence[Request]) -> PositionEffect:
        asked.append((client, len(requests)))
        lift = np.linspace(2.0, 0.2, 40)  # the first slots did most of what was done there
        return PositionEffect(np.repeat(lift[:, None], len(world.project.actions), axis=1), "a test")

    plain, fair = chosen(world), chosen(world, positions=learnt)
    assert asked == [("homefeed", 80)]  # all judged requests, of both folds
    for name, figures in fair.figures.items():
        assert figures["rounds"] == plain.figures[name]["rounds"]  # the same trees
        assert figures["ndcg@10"]["mean"] != plain.figures[name]["ndcg@10"]["mean"]


@pytest.mark.usefixtures("openly")
def test_no_fold_looks_at_held_out_requests(world: LogsWorld) -> None:
    joined = join_logs(world.project, world.logs, ["homefeed"])
    windows = windows_of(joined, ["homefeed"], 0.2)[0]
    made = build_examples(joined, world.clients, windows)["homefeed"]
    trials = choosing.trials_of(made)
    assert len(trials) == 2
    judged = choosing.requests_in_folds(joined, {"homefeed": [t.judged for t in trials]})["homefeed"]
    times = made.times.first
    for trial, requests, before in zip(trials, judged, (80, 120), strict=True):
        assert trial.judged.since == times[before]
        assert trial.judged.until <= windows["homefeed"].until
        assert len(requests) == 40
        fitted = trial.before.counts
        assert (
            0 < sum(sum(rows.values()) for rows in fitted.values()) < sum(sum(r.values()) for r in made.counts.values())
        )


@pytest.mark.usefixtures("openly")
def test_training_fits_and_reports_the_choice(world: LogsWorld, tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    out = train_lightweight(world.project, world.clients["homefeed"], store, world.logs)
    assert out.published, out.reason
    assert out.trees["name"] != "poor"
    assert out.trees["reason"].startswith(out.trees["name"])
    meta = store.open("lightweight/homefeed").meta
    assert meta["trees"] == out.trees
    assert meta["objective"] == ("rank:ndcg" if out.trees["settings"]["objective"] == "rank" else "binary:logistic")


@pytest.mark.usefixtures("openly")
def test_a_ranking_is_published_like_any_other(world: LogsWorld, tmp_path: Path) -> None:
    ranked = world.project.model_copy(update={"gbdt": world.project.gbdt.model_copy(update={"objective": "rank"})})
    store = BundleStore(tmp_path)
    out = train_lightweight(ranked, world.clients["homefeed"], store, world.logs)
    assert out.published, out.reason
    assert out.metrics["differences"]["visit_count"]["ndcg@10"]["low"] > 0
    assert store.open("lightweight/homefeed").meta["objective"] == "rank:ndcg"
    assert 0 < out.fit["loss"] < 1  # 1 - NDCG
