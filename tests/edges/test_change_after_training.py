"""Settings that change over existing bundles and logs: what is named is mapped by name, what cannot fit is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.errors import BundleError, DataError
from cluster.settings.project import DEFAULT_ACTIONS
from cluster.store.logs import LogStore
from serving.deploy.process import Process
from serving.full.stage import FullLogic
from serving.http.responses import to_response
from serving.request.scored import Scored
from tests.worlds.funnel import ask, opened_world, publish_full, some_user
from tests.worlds.logs import make_world
from training.full.rows import Contents


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


def changed(world: Opened, **settings: Any) -> Opened:
    """The project as it is after an edit of pinfunnel.yaml, in a new process."""
    return Opened(world.project.model_copy(update=settings), world.clients)


def probabilities(world: Opened) -> dict[str, dict[str, float]]:
    """What `explain` says of each pin that the full ranker scored."""
    process = world.new_process()
    process.full.load(str(process.store.current("full")))
    answer = process.funnel.recommend_now(ask("homefeed", some_user(world)))
    pins = to_response(answer, "r", True, 1.0).pins
    return {str(p.pin_id): p.explanation.probabilities for p in pins if p.explanation and p.explanation.probabilities}


@pytest.mark.parametrize(
    "actions",
    [
        ("hide", "long_click", "closeup", "click", "save"),
        (*DEFAULT_ACTIONS, "purchase"),
        ("purchase", "hide", "save", "click", "closeup", "long_click"),
        ("save", "hide"),
    ],
)
def test_probabilities_stand_under_the_names_that_the_model_was_trained_on(
    world: Opened, actions: tuple[str, ...]
) -> None:
    publish_full(world.new_process(), world.clients)
    before = probabilities(world)
    after = probabilities(changed(world, actions=actions))
    assert before
    assert after == before
    assert set(next(iter(after.values()))) == set(DEFAULT_ACTIONS)


def test_a_weight_of_an_action_that_the_model_does_not_know_counts_nothing(
    world: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    publish_full(world.new_process(), world.clients)
    process = world.new_process()
    clients = {n: c.model_copy(update={"utility": {**c.utility, "purchase": 9.0}}) for n, c in world.clients.items()}
    candidates = process.sources.candidates(ask("homefeed", some_user(world)))
    ranked = process.lightweight.rank(ask("homefeed"), candidates)

    def score(clients: dict[str, Any]) -> Scored:
        logic = FullLogic(process.store, process.catalogs, clients, process.features)
        logic.load(str(process.store.current("full")))
        return logic.score(ask("homefeed"), candidates, ranked)

    np.testing.assert_array_equal(score(clients).utility, score(world.clients).utility)
    assert np.isfinite(score(clients).utility).all()
    assert "does not predict purchase" in caplog.text


def test_a_graph_of_other_ids_is_refused_where_it_is_loaded(world: Opened) -> None:
    text = changed(world, ids="string")
    message = r"graph \S+ has int64 ids and pinfunnel.yaml says `ids: string`: run `pinfunnel build-graph` again"
    with pytest.raises(BundleError, match=message):
        _ = text.new_process().catalogs.current
    with pytest.raises(BundleError, match=message):
        text.new_process().sources.load(str(world.new_process().store.current("graph")))
    with pytest.raises(BundleError, match=message):
        Contents(world.new_process().store.root, str(world.new_process().store.current("graph"))).require_ids("string")


def test_a_full_ranker_of_other_ids_is_refused(world: Opened) -> None:
    process: Process = world.new_process()
    with process.store.write("full", {"schema_hash": process.features.schema_hash, "ids": "string"}) as (_, version):
        pass
    with pytest.raises(BundleError, match=f"full {version} was made for string ids and pinfunnel.yaml says"):
        process.full.load(version)


def test_logs_of_other_ids_are_refused_with_the_way_out(tmp_path: Path) -> None:
    made = make_world(tmp_path, requests=40, n=20)
    assert LogStore(made.logs.root, "int64").serving_files().rows
    assert LogStore(made.logs.root, "int64").read_events()[0].num_rows
    other = LogStore(made.logs.root, "string")
    for read in (other.serving_files, other.read_events, lambda: other.compact("2026-01-01")):
        with pytest.raises(DataError, match=r"holds int64 ids .* move \S+ away to begin new logs, or set `ids: int64`"):
            read()


def test_the_server_refuses_to_start_over_events_of_other_ids(world: Opened) -> None:
    with_events = make_world(Path(world.project.home), requests=40, n=20)
    assert with_events.logs.event_files().rows
    with pytest.raises(DataError, match="holds int64 ids"):
        InProcess(changed(world, ids="string"), None)
