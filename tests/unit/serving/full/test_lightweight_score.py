"""The full ranker is told the lightweight ranker's score of each survivor, and models of the earlier format are not."""

from pathlib import Path

import numpy as np
import pytest

from apps.project import Opened
from serving.deploy.process import Process
from serving.full.stage import FullLogic
from serving.request.ranked import Ranked
from tests.worlds.funnel import ask, opened_world, publish_full, publish_lightweight, some_user
from training.ranker.batch import RequestBatch


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    opened = opened_world(tmp_path_factory.mktemp("world"))
    process = opened.new_process()
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    return opened


def asked_of_the_network(world: Opened, client: str) -> tuple[Ranked, list[RequestBatch]]:
    """A request of `client` and what the network was given for it."""
    process: Process = world.new_process()
    process.watcher("lightweight", "full").poll()
    logic: FullLogic = process.full
    assert logic._loaded is not None
    scorer, seen = logic._loaded.scorer, []
    exact = scorer.score

    def noted(batch: RequestBatch) -> np.ndarray:
        seen.append(batch)
        return exact(batch)

    scorer.score = noted  # type: ignore[method-assign]
    question = ask(client, some_user(world))
    candidates = process.sources.candidates(question)
    ranked = process.lightweight.rank(question, candidates)
    assert np.isfinite(logic.score(question, candidates, ranked).utility).all()
    return ranked, seen


def test_survivors_come_with_their_margins(world: Opened) -> None:
    publish_full(world.new_process(), world.clients)
    ranked, seen = asked_of_the_network(world, "homefeed")
    assert ranked.version is not None
    assert np.ptp(ranked.scores) > 0
    np.testing.assert_array_equal(seen[0].candidates[:, -1], ranked.scores[ranked.survivors])


def test_a_client_without_trees_has_no_scores(world: Opened) -> None:
    publish_full(world.new_process(), world.clients)
    ranked, seen = asked_of_the_network(world, "search")
    assert ranked.version is None
    assert np.isnan(seen[0].candidates[:, -1]).all()


def test_a_model_without_that_column_serves_on(world: Opened, tmp_path: Path) -> None:
    process = world.new_process()
    publish_full(process, world.clients, scored=False)
    ranked, seen = asked_of_the_network(world, "homefeed")
    assert seen[0].candidates.shape[1] == process.full._candidate.split(ranked.candidates)[0].shape[1]
