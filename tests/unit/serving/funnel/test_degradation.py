"""What an answer becomes when its stages fail or are late: still an answer, with every reason in it."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.project import Opened
from cluster.errors import BundleError
from serving.candidates.query import Query
from serving.deploy.process import Process
from serving.funnel.funnel import Funnel
from serving.funnel.runner import Outcome, Reason
from serving.funnel.stages import Contributions, DirectStages, InPlaceStages, Overloaded, Stages
from serving.logs.impressions import log_row
from serving.request.answer import Answer
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.deadline import Deadline
from serving.request.found import FoundPins, Visits
from serving.request.log_odds import Reasons
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from tests.worlds.funnel import ask, opened_world, publish_full, publish_lightweight, some_user

NAMES = {
    "generate": "walk",
    "rank": "lightweight",
    "score": "full",
    "explain": "explain",
    "explain_full": "explain_full",
}


class Observed:
    """Notes what it is told of stages."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.notes: list[tuple[str, Reason]] = []

    def stage_ended(self, client: str, stage: str, outcome: Outcome, milliseconds: float) -> None:
        assert client == "homefeed"
        assert milliseconds >= 0
        self.outcomes[stage] = outcome

    def noted(self, client: str, stage: str, reason: Reason) -> None:
        self.notes.append((stage, reason))


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Process:
    """All models published and loaded. No test here changes it."""
    world = opened_world(tmp_path_factory.mktemp("world"))
    process = Process(world.project, world.clients)
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    publish_full(process, world.clients)
    process.watcher().poll()
    return process


@pytest.fixture(scope="module")
def whole(process: Process) -> Answer:
    """An answer that lacks nothing."""
    answer = process.funnel.recommend_now(_ask(process), explain=True)
    assert answer.contributions
    assert all(answer.reasons)
    return answer


def _ask(process: Process, **changes: Any) -> Any:
    return ask(user_id=some_user(Opened(process.project, process.clients)), **changes)


class Canned(Stages):
    """Gives the stages' results of a whole answer at once, so that only the faults below take time."""

    def __init__(self, whole: Answer):
        self._whole = whole

    async def generate(self, source: str, query: Query, budget: int, seconds: float) -> FoundPins:
        assert source == "walk"
        rows = np.flatnonzero(self._whole.candidates.sources.rank[:, 0] >= 0)
        of = self._whole.candidates
        visits = Visits(of.visits[rows], of.hits[rows], of.by_query[rows])
        return FoundPins(of.pins[rows], of.walk_score[rows], of.sources.origins[0], visits)

    async def rank(self, ask: WalkAsk, candidates: Candidates, by_visits: bool) -> Ranked:
        assert self._whole.ranked is not None
        return self._whole.ranked

    async def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float) -> Scored:
        assert self._whole.scored is not None
        return self._whole.scored

    async def explain(self, client: str, ranked: Ranked, rows: np.ndarray) -> Contributions:
        return self._whole.contributions

    async def explain_full(self, *_: Any) -> list[Reasons]:
        return self._whole.reasons


def _break(stages: Stages, **faults: str) -> Stages:
    """The stages, of which the named ones raise or hang."""
    for stage, fault in faults.items():

        async def broken(*_: Any, stage: str = stage, fault: str = fault) -> Any:
            if fault == "hangs":
                await asyncio.sleep(60)
            raise RuntimeError(f"{stage} boom")

        setattr(stages, stage, broken)
    return stages


def _direct(process: Process) -> DirectStages:
    return DirectStages(process.sources, process.lightweight, process.full)


def _answer(
    process: Process,
    stages: Stages,
    deadline_ms: float,
    observed: Observed | None = None,
    asked: WalkAsk | None = None,
) -> Answer:
    share = 0.005 if deadline_ms == 60_000 else 0.5  # 300 ms for a source that hangs
    funnel = Funnel(stages, process.sources, process.clients, deadline_ms, share=share, observer=observed)
    return asyncio.run(funnel.recommend(asked or _ask(process), explain=True))


@pytest.mark.parametrize("stage", NAMES)
@pytest.mark.parametrize("fault", ["raises", "hangs"])
def test_a_failed_or_late_stage_costs_the_answer_that_stage_only(
    process: Process, whole: Answer, stage: str, fault: str
) -> None:
    observed = Observed()
    deadline_ms = 60_000 if fault == "raises" or stage == "generate" else 400
    base = _direct(process) if stage == "generate" else Canned(whole)  # popular pins fit no canned ranking
    stages = _break(base, **{stage: fault})
    answer = _answer(process, stages, deadline_ms, observed)
    assert len(answer.shown) == process.clients["homefeed"].sizes.answer
    late = "not done within its 300 ms" if stage == "generate" else "not done within the deadline"
    reason = f"RuntimeError: {stage} boom" if fault == "raises" else late
    assert answer.faults[0] == f"{NAMES[stage]}: {reason}"
    assert observed.outcomes[NAMES[stage]] == ("failed" if fault == "raises" else "late")
    later = fault == "raises" or stage == "generate"
    assert bool(answer.contributions) == (stage == "explain_full" or (later and stage in ("generate", "score")))
    assert bool(answer.reasons) == (later and stage in ("generate", "explain"))
    if stage.startswith("explain"):
        assert answer.shown.tolist() == whole.shown.tolist()


def test_a_failed_walk_is_answered_with_ranked_popular_pins(process: Process) -> None:
    observed = Observed()
    answer = _answer(process, _break(_direct(process), generate="raises"), 60_000, observed)
    candidates = answer.candidates
    assert candidates.source == "popular"
    assert candidates.graph_version == process.store.current("graph")
    catalog = process.catalogs.current
    acted = catalog.graph.pin_ids.index_of(candidates.sequence.pin_ids.tolist())
    expected = [p for p in catalog.pins.popular(candidates.locale, 10_000).tolist() if p not in set(acted.tolist())]
    assert candidates.locale >= 0
    n = min(len(expected), len(candidates.pins))
    assert n > 20
    assert candidates.pins[:n].tolist() == expected[:n]
    assert answer.ranked is not None
    assert answer.ranked.version is not None
    assert answer.scored is not None
    assert answer.scored.version is not None
    assert [stage.stage for stage in answer.stages] == ["popular", "lightweight", "full"]
    assert observed.outcomes["mix"] == "done"
    assert answer.faults == ["walk: RuntimeError: generate boom"]


def test_a_late_source_leaves_the_rankers_their_time(process: Process) -> None:
    stages = _break(_direct(process), generate="hangs")
    funnel = Funnel(stages, process.sources, process.clients, deadline_ms=60_000, share=0.002)
    answer = asyncio.run(funnel.recommend(_ask(process)))
    assert answer.faults == ["walk: not done within its 120 ms"]
    assert [stage.stage for stage in answer.stages] == ["popular", "lightweight", "full"]


def test_the_fallback_is_what_a_walk_without_a_start_gives(process: Process) -> None:
    nobody = ask(user_id=None)
    candidates, popular = (
        process.sources.candidates(nobody),
        _answer(process, _break(_direct(process), generate="raises"), 60_000, asked=nobody).candidates,
    )
    assert candidates.source == popular.source == "popular"
    for name, value in vars(candidates).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(popular, name))
            assert value.dtype == getattr(popular, name).dtype, name


def test_every_reason_is_kept_and_logged(process: Process) -> None:
    faults = dict.fromkeys(("generate", "score", "explain"), "raises")
    answer = _answer(process, _break(_direct(process), **faults), 60_000)
    assert answer.faults == [
        "walk: RuntimeError: generate boom",
        "full: RuntimeError: score boom",
        "explain: RuntimeError: explain boom",
    ]
    assert log_row(answer, "r", "h", "", None)["degraded"] == "; ".join(answer.faults)


def test_time_spent_before_the_stages_counts(process: Process, whole: Answer) -> None:
    funnel = Funnel(Canned(whole), process.sources, process.clients, deadline_ms=60_000)
    answer = asyncio.run(funnel.recommend(_ask(process), deadline=Deadline.after(-1.0)))
    assert answer.faults == ["walk: no time left", "lightweight: no time left"]
    assert len(answer.shown) == process.clients["homefeed"].sizes.answer


def test_without_a_graph_there_is_no_answer(tmp_path: Path, process: Process) -> None:
    bare = Process(process.project.model_copy(update={"home": str(tmp_path / "empty")}), process.clients)
    funnel = Funnel(InPlaceStages(bare.sources, bare.lightweight, bare.full), bare.sources, bare.clients, 60_000)
    with pytest.raises(BundleError, match="no graph is published"):
        asyncio.run(funnel.recommend(ask()))
    funnel = Funnel(_break(_direct(process), generate="raises"), bare.sources, process.clients, 60_000)
    with pytest.raises(BundleError, match="no graph"):
        asyncio.run(funnel.recommend(ask()))


def test_an_overloaded_walker_turns_the_caller_away(process: Process) -> None:
    class Full(DirectStages):
        async def generate(self, *_: Any) -> Any:
            raise Overloaded("come back")

    funnel = Funnel(Full(process.sources, process.lightweight, process.full), process.sources, process.clients)
    with pytest.raises(Overloaded):
        asyncio.run(funnel.recommend(_ask(process)))


def test_a_funnel_without_a_deadline_shows_faults_to_its_caller(process: Process) -> None:
    funnel = Funnel(_break(_direct(process), generate="raises"), process.sources, process.clients, float("inf"))
    with pytest.raises(RuntimeError, match="generate boom"):
        funnel.recommend_now(_ask(process))


def test_threads_answer_bit_for_bit_as_direct_calls(process: Process) -> None:
    patient = process.project.serving.model_copy(update={"deadline_ms": 60_000.0})  # a busy machine is not the matter
    server = Process(process.project.model_copy(update={"serving": patient}), process.clients)
    server.watcher().poll()
    for changes in ({}, {"locale": "xx", "seed": 11}, {"user_id": None}):
        asked = ask(**{"user_id": some_user(Opened(process.project, process.clients)), **changes})
        direct = process.funnel.recommend_now(asked, explain=True)
        threaded = asyncio.run(server.served_funnel().recommend(asked, explain=True))
        assert not threaded.faults
        assert direct.shown.tolist() == threaded.shown.tolist()
        assert direct.contributions == threaded.contributions
        assert all(direct.reasons)
        assert direct.reasons == threaded.reasons
        for one, other in (
            (direct.candidates, threaded.candidates),
            (direct.ranked, threaded.ranked),
            (direct.scored, threaded.scored),
        ):
            for name, value in vars(one).items():
                if isinstance(value, np.ndarray):
                    np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
