"""Off-policy estimates are unbiased: over many draws of the funnel's own exploration they find a rule's true value."""

import numpy as np
import pytest

from cluster.data.schema import IMPRESSED, RANKED, WALKED
from serving.funnel.explore import NOTHING, Explored, explore
from training.experiments.explored import ExploredLog, ExploredRequest, best_by, explored_pool
from training.experiments.off_policy import ESTIMATORS, LoggedDraws, policy_value

SURVIVORS = 30
DROPPED = 20
SIZE = 10
SLOTS = 3


def logged(found: Explored) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """stage, explored, explored_dropped, as serving/logs/impressions.py writes them."""
    n = SURVIVORS + DROPPED
    stage = np.where(np.arange(n) < SURVIVORS, RANKED, WALKED)
    stage[found.shown] = IMPRESSED
    explored = np.zeros(n, bool)
    explored[found.shown] = found.drawn
    dropped = explored.copy() if found.dropped_rate else np.empty(0, bool)
    dropped[:SURVIVORS] = False
    return stage, explored, dropped


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_every_estimator_is_right_in_the_mean(share: float) -> None:
    rng = np.random.default_rng(0)
    liked = rng.random(SURVIVORS) * 0.5  # chance of an action by pin
    score = rng.normal(size=SURVIVORS) + 12 * liked
    dropped = np.arange(SURVIVORS, SURVIVORS + DROPPED, dtype=np.int32) if share else NOTHING
    beyond = SLOTS * share
    log = ExploredLog()
    for request in range(5_000):
        found = explore(np.arange(SURVIVORS, dtype=np.int32), SIZE, SLOTS, request, dropped, share)
        pool = explored_pool(*logged(found), found.rate, beyond)
        assert pool is not None
        np.testing.assert_array_equal(pool, np.arange(SIZE - SLOTS, SURVIVORS))
        drawn = np.isin(pool, found.shown[found.drawn])
        reward = drawn * (rng.random(len(pool)) < liked[pool])
        log.add(ExploredRequest(request % 400, drawn, score[pool], reward, found.rate))
    pool = np.arange(SIZE - SLOTS, SURVIVORS)
    chance = best_by(score[pool], SLOTS - beyond)
    truth = chance @ liked[pool] / chance.sum()
    draws = log.draws()
    assert draws.slots.sum() == pytest.approx(len(log) * (SLOTS - beyond))
    shown = [policy_value(draws, estimator) for estimator in ESTIMATORS]
    for value in shown:
        assert value.value == pytest.approx(truth, abs=3 * value.error)
        assert value.error < 0.03
    assert abs(liked[pool].mean() - truth) >= 4 * shown[0].error, "the rule differs from what was drawn"
    assert shown[2].error <= shown[0].error, "doubly robust is the surer one where guesses are good"


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_intervals_hold_the_truth_as_often_as_they_say(estimator: str) -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(300):
        users, each = 120, 5
        propensity = rng.uniform(0.1, 0.6, users * each)
        liked = rng.random(users * each)
        drawn = rng.random(users * each) < propensity
        reward = (rng.random(users * each) < liked).astype(float)
        draws = LoggedDraws(
            np.flatnonzero(drawn), propensity[drawn], np.full(drawn.sum(), 0.4), reward[drawn],
            np.repeat(np.arange(users), each), np.full(users * each, 0.4),
            np.full(drawn.sum(), 0.5), np.full(users * each, 0.4 * 0.5),
        )  # fmt: skip
        value = policy_value(draws, estimator)  # type: ignore[arg-type]
        held.append(value.low <= 0.5 <= value.high)
    assert 0.91 <= np.mean(held) <= 0.98


def test_a_request_whose_pool_the_policy_thinned_is_left_out() -> None:
    found = explore(np.arange(25, dtype=np.int32), SIZE, SLOTS, 1)  # five of thirty survivors were filtered
    assert explored_pool(*logged(found), found.rate) is None
    assert explored_pool(*logged(explore(np.arange(5, dtype=np.int32), SIZE, SLOTS, 1)), 0.0) is None


def test_the_best_by_score_with_a_broken_number_of_slots() -> None:
    assert best_by(np.array([0.1, np.nan, 0.9, 0.5]), 1.25).tolist() == [0.0, 0.0, 1.0, 0.25]
    assert best_by(np.array([0.1, 0.2]), 2.0).tolist() == [1.0, 1.0]


def test_without_guesses_doubly_robust_says_so() -> None:
    empty = np.empty(0)
    draws = LoggedDraws(empty.astype(int), empty, empty, empty, np.arange(12), np.ones(12))
    with pytest.raises(ValueError, match="needs guesses"):
        policy_value(draws, "doubly_robust")
    assert policy_value(draws, "ips").value == 0.0
    with pytest.raises(ValueError, match="no request"):
        ExploredLog().draws()
