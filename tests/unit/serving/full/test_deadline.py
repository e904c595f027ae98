"""The full stage under a deadline: what is scored, in what order it is answered, and what the answer says."""

import asyncio
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.project import Opened
from serving.full.pacing import CHUNK, Pace, Part
from serving.full.stage import FullLogic
from serving.funnel.funnel import Funnel
from serving.funnel.stages import DirectStages
from serving.http.responses import to_response
from serving.policy.slate import slate_of
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from tests.worlds.funnel import ask, opened_world, publish_full, some_user


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 600), min_size=1, max_size=4),
    st.floats(0, 1),
    st.sampled_from([0.0, 1e-4, 1e-3]),
    st.sampled_from([1e-4, 1e-3]),
)
def test_passes_cover_a_prefix_once_and_stop_near_the_deadline(
    sizes: list[int], seconds: float, believed: float, true: float
) -> None:
    clock = Clock()
    pace = Pace(believed, clock)
    scored: list[list[int]] = [[] for _ in sizes]

    def run(parts: list[Part]) -> None:
        for i, start, end in parts:
            scored[i] += range(start, end)
            clock.now += true * (end - start)

    began = clock.now
    done = pace.score(sizes, [began + seconds] * len(sizes), run)
    assert [len(s) for s in scored] == done
    assert all(s == list(range(len(s))) for s in scored)
    if believed >= true:  # an honest or a careful guess never runs over
        assert clock.now - began <= seconds + 1e-9
    if seconds > 8 * true * len(sizes) * (sum(sizes) + 1):
        assert done == sizes


def test_without_a_deadline_all_is_one_pass() -> None:
    passes: list[list[Part]] = []
    assert Pace(1.0).score([700, 3], [math.inf, math.inf], passes.append) == [700, 3]
    assert passes == [[(0, 0, 700), (1, 0, 3)]]


def test_a_request_out_of_time_does_not_hold_back_the_others() -> None:
    clock = Clock()
    done = Pace(1e-4, clock).score([500, 500], [clock.now - 1, clock.now + 60], lambda parts: None)
    assert done == [0, 500]


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


def _stages_that_take(world: Opened, seconds_each: float, clock: Clock) -> tuple[FullLogic, list[int]]:
    """A full stage whose passes take made-up time, and the sizes of its passes."""
    process = world.new_process()
    publish_full(process, world.clients)
    logic = FullLogic(process.store, process.catalogs, world.clients, process.features, Pace(clock=clock))
    logic.load(str(process.store.current("full")))
    logic.pace.seconds = seconds_each
    assert logic._loaded is not None
    scorer, sizes = logic._loaded.scorer, []
    exact = scorer.score

    def slow(batch):  # type: ignore[no-untyped-def]
        sizes.append(batch.n_candidates)
        clock.now += seconds_each * batch.n_candidates
        return exact(batch)

    scorer.score = slow  # type: ignore[method-assign]
    return logic, sizes


def test_what_is_not_scored_in_time_keeps_the_lightweight_order(world: Opened) -> None:
    clock = Clock()
    logic, sizes = _stages_that_take(world, 1e-3, clock)
    process, user = world.new_process(), some_user(world)

    class Hurried(DirectStages):
        async def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float) -> Scored:
            return logic.score(ask, candidates, ranked, 0.3)

    stages = Hurried(process.sources, process.lightweight, logic)
    funnel = Funnel(stages, process.sources, world.clients, deadline_ms=60_000)
    answer = asyncio.run(funnel.recommend(ask(user_id=user)))
    assert answer.ranked is not None
    assert answer.scored is not None
    n, scored = len(answer.ranked.survivors), np.isfinite(answer.scored.utility)
    assert CHUNK <= scored.sum() < n
    assert max(sizes) <= CHUNK
    assert scored[: scored.sum()].all(), "the lightweight stage's best go first"
    assert answer.degraded == f"full: {scored.sum()} of {n} scored within the deadline"
    order = slate_of(answer.candidates, answer.ranked, answer.scored, False).pin
    survivors = answer.ranked.survivors
    expected = np.argsort(-answer.scored.utility[: scored.sum()], kind="stable")
    assert order.tolist() == survivors[[*expected, *range(int(scored.sum()), n)]].tolist()
    whole = logic.score(answer.ask, answer.candidates, answer.ranked)
    np.testing.assert_allclose(answer.scored.utility[scored], whole.utility[scored], rtol=1e-4, atol=1e-5)
    response = to_response(answer, "r", True, 1.0)
    assert response.degraded == answer.degraded
    assert "NaN" not in response.model_dump_json()


def test_no_time_at_all_scores_nothing_and_still_answers(world: Opened) -> None:
    clock = Clock()
    logic, sizes = _stages_that_take(world, 1e-3, clock)
    process, user = world.new_process(), some_user(world)
    candidates = process.sources.candidates(ask(user_id=user))
    ranked = process.lightweight.rank(ask(user_id=user), candidates)
    scored = logic.score(ask(user_id=user), candidates, ranked, 0.0)
    assert sizes == []
    assert np.isnan(scored.utility).all()
    assert slate_of(candidates, ranked, scored, False).pin.tolist() == ranked.survivors.tolist()
    two = logic.score_many([(ask(user_id=user), candidates, ranked)] * 2, [clock.now, math.inf])
    assert np.isnan(two[0].utility).all()
    assert np.isfinite(two[1].utility).all()
