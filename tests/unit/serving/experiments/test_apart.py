"""Arms reach stages that run as processes of their own: the request alone tells them, and each gets ready by itself."""

import asyncio
import pickle
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from apps.project import Opened
from cluster.experiments.assignment import arm_of
from cluster.experiments.definition import Experiment
from serving.candidates.query import Query
from serving.deploy.deployments import source_deployments
from serving.deploy.process import Process
from serving.deploy.replicas import NO_PART, with_source
from serving.funnel.stages import DirectStages
from serving.request.answer import Answer
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.found import FoundPins
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from tests.worlds.funnel import NOW, ask, opened_world, publish_full, publish_lightweight, some_user

T = TypeVar("T")


def sent(value: T) -> T:
    """As it comes out in another process."""
    out: T = pickle.loads(pickle.dumps(value))
    return out


class Apart(DirectStages):
    """A process for each source and ranker, as Ray Serve has them; what goes in and comes out is pickled."""

    def __init__(self, world: Opened, names: list[str]):
        self.sources = {
            name: Process(world.project, world.clients, None, partial(with_source, name, None)) for name in names
        }
        self.ranker = Process(world.project, world.clients, NO_PART)
        self.network = Process(world.project, world.clients, NO_PART)
        self.watchers = [
            *(process.watcher("sources") for process in self.sources.values()),
            self.ranker.watcher("graph", "lightweight"),
            self.network.watcher("graph", "full"),
        ]

    def look(self) -> None:
        for watcher in self.watchers:
            watcher.poll()

    async def generate(self, source: str, query: Query, budget: int, seconds: float) -> FoundPins:
        logic = self.sources[source].sources
        theirs = logic.query(sent(query.ask), query.catalog.version)
        stages = DirectStages(logic, self.ranker.lightweight, self.network.full)
        return sent(await stages.generate(source, theirs, budget, seconds))

    async def rank(self, ask: WalkAsk, candidates: Candidates, by_visits: bool) -> Ranked:
        return sent(self.ranker.lightweight.rank(*sent((ask, candidates)), by_visits))

    async def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float) -> Scored:
        return sent(self.network.full.score(*sent((ask, candidates, ranked)), seconds))


class Site:
    def __init__(self, world: Opened):
        self.world = world
        self.apart = Apart(world, list(source_deployments(world.project, world.clients)))
        self.ingress = Process(world.project, world.clients, NO_PART)
        self.watcher = self.ingress.watcher("mix", elsewhere=list(self.apart.sources))
        self.funnel = self.ingress.served_funnel(self.apart)
        self.funnel._seconds = 300.0
        self.look()

    def look(self) -> None:
        self.apart.look()
        self.watcher.poll()

    def answer(self, user: int) -> Answer:
        return asyncio.run(self.funnel.recommend(ask(user_id=user)))


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


def begin(world: Opened, treatment: dict[str, Any], **changes: Any) -> Experiment:
    told = {"name": "e", "clients": ["homefeed"], "arms": {"c": {}, "t": treatment}, **changes}
    experiment = Experiment.model_validate(told)
    world.new_process().experiments.start(experiment)
    return experiment


def treated(world: Opened, experiment: Experiment) -> int:
    user = some_user(world)
    return next(u for u in range(user, user + 200) if arm_of(experiment, u, NOW) == 1)


def test_all_stages_answer_as_the_arm_has_them(world: Opened) -> None:
    process = world.new_process()
    old = publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    old_full = publish_full(process, world.clients)
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1.0)
    publish_full(process, world.clients)
    changes = {
        "sources.walk.quota": 77,
        "walk.steps": 5000,
        "sizes.lightweight": 40,
        "sizes.answer": 7,
        "utility": {"save": 5.0},
    }
    versions = {"lightweight/homefeed": old, "full": old_full}
    experiment = begin(world, {"set": changes, "versions": versions})
    site = Site(world)
    user = treated(world, experiment)
    answer = site.answer(user)
    assert answer.exposure == ("e/t",)
    assert answer.degraded == ""
    assert answer.ranked is not None
    assert answer.scored is not None
    assert answer.candidates.sources.budget[0] == 77
    assert len(answer.ranked.survivors) == 40
    assert len(answer.shown) == 7
    assert set(answer.scored.weights) == {0.0, 5.0}
    assert (answer.ranked.version, answer.scored.version) == (old, old_full)
    process.watcher().poll()
    alone = process.live_funnel.recommend_now(ask(user_id=user))
    assert answer.candidates.pin_ids[answer.shown].tolist() == alone.candidates.pin_ids[alone.shown].tolist()


def test_a_stage_that_has_not_looked_yet_answers_what_it_can_and_the_answer_says_so(world: Opened) -> None:
    process = world.new_process()
    old = publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1.0)
    site = Site(world)
    experiment = begin(world, {"set": {"sizes.lightweight": 40}, "versions": {"lightweight/homefeed": old}})
    site.watcher.poll()  # the ingress alone
    user = treated(world, experiment)
    answer = site.answer(user)
    assert answer.ranked is not None
    assert len(answer.ranked.survivors) == 40  # settings come with the request
    assert answer.ranked.version != old
    assert f"lightweight/homefeed {old} is not ready" in answer.degraded
    site.look()
    assert site.answer(user).degraded == ""


def test_a_source_that_runs_nowhere_leaves_the_control_until_the_next_deploy(world: Opened) -> None:
    site = Site(world)
    experiment = begin(world, {"set": {"sources.popular.quota": 9}})
    site.look()
    user = treated(world, experiment)
    answer = site.answer(user)
    assert "no process runs the source 'popular'" in answer.degraded
    assert "popular" not in answer.candidates.sources.names
    assert "popular" in source_deployments(world.project, world.clients)
    answer = Site(world).answer(user)
    assert answer.degraded == ""
    assert answer.candidates.sources.names[-1] == "popular"
