"""NDCG from a sample of the candidates: against a slow twin, against all candidates, and as a choice between orders."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics.ranking import mean_ndcg, ndcg
from training.metrics.sampled import SAMPLED_CUT, cut_of_sample, mean_ndcg_of_samples, ndcg_of_sample

POSITIVES = 3


def slow_ndcg_of_sample(gain: list[float], weight: list[int], k: int) -> float:
    """Rank by rank: each gain gets the mean discount of the ranks it may have."""
    widest, cut = max(weight), cut_of_sample(np.array(weight), k)
    got = 0.0
    for i, own in enumerate(gain):
        least = sum(weight[:i])
        discounts = [1 / math.log2(rank + 2) if rank < cut else 0.0 for rank in range(least, least + widest)]
        got += max(own, 0.0) * sum(discounts) / widest
    ideal = sum(max(own, 0.0) / math.log2(rank + 2) for rank, own in enumerate(sorted(gain, reverse=True)[:cut]))
    return got / ideal if ideal > 0 else math.nan


@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 40)), min_size=1, max_size=30),
    st.integers(1, 25),
)
def test_a_sample_agrees_with_the_slow_one(candidates: list[tuple[int, int]], k: int) -> None:
    gain = [float(own) for own, _ in candidates]
    weight = [1 if own > 0 else stands_for for own, stands_for in candidates]
    found = ndcg_of_sample(np.array(gain), np.array(weight, np.float32), k)
    assert found == pytest.approx(slow_ndcg_of_sample(gain, weight, k), nan_ok=True)
    assert math.isnan(found) or 0.0 <= found <= 1.0 + 1e-9


@given(seed=st.integers(0, 10_000), n=st.integers(0, 60), k=st.integers(1, 30))
def test_a_sample_of_everything_has_the_ndcg_of_everything(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    score, gain, request = rng.normal(size=n), rng.integers(-1, 3, n).astype(float), rng.integers(0, 4, n)
    assert ndcg_of_sample(gain, np.ones(n), k) == pytest.approx(ndcg(gain, k), nan_ok=True)
    of_samples = mean_ndcg_of_samples(score, gain, request, np.ones(n), k)
    assert of_samples == pytest.approx(mean_ndcg(score, gain, request, k), nan_ok=True)


@pytest.mark.parametrize(
    ("weight", "k", "cut"),
    [([1, 1], 10, 10), ([1, 2], 10, 20), ([1, 25], 20, SAMPLED_CUT), ([1, 300], 20, 300), ([1, 1.5], 100, 100)],
)
def test_the_cut_is_that_of_all_candidates(weight: list[float], k: int, cut: int) -> None:
    assert cut_of_sample(np.array(weight), k) == cut


def requests(strength: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores float[200, 1000] of which the first three have a gain and stand `strength` higher, and their gains."""
    gain = np.zeros((200, 1000))
    gain[:, :POSITIVES] = 1.0
    return np.random.default_rng(seed).normal(size=gain.shape) + strength * gain, gain


def sampled(score: np.ndarray, gain: np.ndarray, drawn: int, seed: int, weighted: bool = True) -> float:
    """NDCG@20 from all that have a gain and `drawn` of the others of each request."""
    rng, (n, candidates) = np.random.default_rng(seed), score.shape
    others = np.argsort(rng.random((n, candidates - POSITIVES)), axis=1)[:, :drawn] + POSITIVES
    rows = np.hstack([np.tile(np.arange(POSITIVES), (n, 1)), others])
    weight = np.where(rows < POSITIVES, 1.0, (candidates - POSITIVES) / drawn if weighted else 1.0)
    found = [np.take_along_axis(of, rows, axis=1).ravel() for of in (score, gain)]
    return mean_ndcg_of_samples(*found, np.repeat(np.arange(n), rows.shape[1]), weight.ravel(), 20)


def test_the_mean_over_samples_is_near_the_figure_of_all_candidates() -> None:
    """The nearer, the more are drawn. Below that figure, as the first drawn one's share is taken for evenly likely."""
    score, gain = requests(1.5, seed=7)
    each = np.repeat(np.arange(len(score)), score.shape[1])
    off = []
    for drawn in (60, 150, 500):
        whole = mean_ndcg(score.ravel(), gain.ravel(), each, cut_of_sample(np.array([997 / drawn]), 20))
        off.append(abs(np.mean([sampled(score, gain, drawn, seed) for seed in range(5)]) - whole))
        plain = np.mean([sampled(score, gain, drawn, seed, weighted=False) for seed in range(5)])
        assert off[-1] < abs(plain - mean_ndcg(score.ravel(), gain.ravel(), each, 20)) / 2
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.02


def test_the_very_top_decides_as_it_does_among_all_candidates() -> None:
    """One order has a third of the gains first and the rest in the middle, the other has all of them a little better
    than the middle: the sample's own ranks take the second for the better one.
    """
    rng = np.random.default_rng(3)
    gain = requests(0.0, seed=0)[1]
    some_first, all_decent = (rng.normal(size=gain.shape) for _ in range(2))
    some_first[:, 0], some_first[:, 1:POSITIVES] = 9.0, 0.0
    all_decent[:, :POSITIVES] = 1.6  # one in eighteen of the others stands before
    each = np.repeat(np.arange(len(gain)), gain.shape[1])
    whole = [mean_ndcg(score.ravel(), gain.ravel(), each, 20) for score in (some_first, all_decent)]
    assert whole[0] > whole[1]
    assert sampled(some_first, gain, 60, seed=1) > sampled(all_decent, gain, 60, seed=1)
    plain = [sampled(score, gain, 60, seed=1, weighted=False) for score in (some_first, all_decent)]
    assert plain[0] < plain[1]
