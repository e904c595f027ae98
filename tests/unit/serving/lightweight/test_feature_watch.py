"""What is said of served features: nothing of too few requests, drift where there is some, of the last hour only."""

import math

import numpy as np
import pytest

from cluster.features.assemble import FeatureBlock
from cluster.features.drift import FeatureHistograms, psi
from serving.lightweight.feature_watch import LEAST_REQUESTS, PART, PARTS, FeatureWatch

NAMES = ("user_age", "pin_age", "pin_rate")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> FeatureWatch:
    return FeatureWatch(NAMES, clock)


def block(rng: np.random.Generator, n: int = 64, pin_age: float = 0.0, missing: float = 0.0) -> FeatureBlock:
    candidates = rng.normal(size=(n, 2)).astype(np.float32)
    candidates[:, 0] += pin_age
    candidates[rng.random(n) < missing, 1] = math.nan
    return FeatureBlock(rng.normal(size=1).astype(np.float32), candidates)


def trained() -> FeatureHistograms:
    rng = np.random.default_rng(7)
    return FeatureHistograms.of(NAMES, np.concatenate([block(rng).matrix() for _ in range(1000)]))


def serve(watch: FeatureWatch, clock: Clock, requests: int, apart: float = 1.0, **like: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(requests):
        clock.now += apart
        watch.note("homefeed", block(rng, **like))


def test_nothing_is_said_of_too_few_requests(watch: FeatureWatch, clock: Clock) -> None:
    serve(watch, clock, LEAST_REQUESTS - 1)
    assert list(watch.states()) == []
    serve(watch, clock, 1)
    assert [state.feature for state in watch.states()] == list(NAMES)


def test_what_moved_is_told_from_what_did_not(watch: FeatureWatch, clock: Clock) -> None:
    watch.compare_with("homefeed", trained())
    serve(watch, clock, 600)
    assert all(state.psi is not None and state.psi < 0.1 for state in watch.states())
    watch.compare_with("homefeed", trained())
    serve(watch, clock, 600, pin_age=2.0, missing=0.4)
    told = {state.feature: state for state in watch.states()}
    assert told["pin_age"].psi is not None
    assert told["pin_age"].psi > 0.25
    assert told["pin_rate"].psi is not None
    assert told["pin_rate"].psi > 0.25
    assert told["pin_rate"].nan_share == pytest.approx(0.4, abs=0.03)
    assert told["user_age"].psi is not None
    assert told["user_age"].psi < 0.1


def test_the_index_is_that_of_all_counted_values(watch: FeatureWatch, clock: Clock) -> None:
    reference = trained()
    watch.compare_with("homefeed", reference)
    rng = np.random.default_rng(5)
    blocks = [block(rng) for _ in range(LEAST_REQUESTS)]
    for each in blocks:
        clock.now += PART / 10
        watch.note("homefeed", each)
    whole = reference.binned(np.concatenate([each.matrix() for each in blocks]))
    assert [state.psi for state in watch.states()] == psi(reference.counts, whole).tolist()


def test_without_a_reference_missing_values_are_still_told(watch: FeatureWatch, clock: Clock) -> None:
    serve(watch, clock, 200, missing=0.5)
    told = {state.feature: state for state in watch.states()}
    assert told["pin_rate"].nan_share == pytest.approx(0.5, abs=0.03)
    assert told["pin_rate"].psi is None


def test_requests_close_together_are_passed_over(watch: FeatureWatch, clock: Clock) -> None:
    serve(watch, clock, 50 * LEAST_REQUESTS, apart=0.01)
    assert list(watch.states()) == []


def test_after_an_hour_a_request_counts_no_more(watch: FeatureWatch, clock: Clock) -> None:
    watch.compare_with("homefeed", trained())
    serve(watch, clock, 200, pin_age=5.0)
    clock.now += PART * PARTS
    serve(watch, clock, 200)
    assert all(state.psi is not None and state.psi < 0.1 for state in watch.states())
    clock.now += 2 * PART * PARTS
    assert list(watch.states()) == []


def test_a_request_without_candidates_is_no_news(watch: FeatureWatch, clock: Clock) -> None:
    serve(watch, clock, 2 * LEAST_REQUESTS, n=0)
    assert list(watch.states()) == []
