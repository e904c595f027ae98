"""Greedy purchases against a slow twin, and what a path promises."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.quotas.demand import known_of
from training.quotas.paths import greedy_path
from training.quotas.seen import SeenCandidates, replay


def seen_at_random(seed: int, requests: int, n: int, sources: int, most: int) -> SeenCandidates:
    """Each source ranks some of each request's candidates; about one in ten is wanted."""
    rng = np.random.default_rng(seed)
    rank = np.full((requests * n, sources), -1, np.int32)
    for request in range(requests):
        for source in range(sources):
            found = rng.permutation(n)[: rng.integers(0, min(n, most) + 1)]
            rank[request * n + found, source] = np.arange(len(found))
    wanted = rng.random(requests * n) < 0.1
    each = np.repeat(np.arange(requests), n)
    kept = (rank >= 0).any(axis=1)
    known = known_of(rng.integers(0, 5, requests), rng.integers(0, 50, requests))
    names = tuple(f"s{i}" for i in range(sources))
    return SeenCandidates(names, each[kept], rank[kept], wanted[kept], np.ones(int(kept.sum())), known)


def slow_path(seen: SeenCandidates, budget: list[int], block: int) -> list[tuple[list[int], float]]:
    """Purchase by purchase, with sets."""
    quotas, out = [0] * len(budget), []
    while True:
        there = {i for i, row in enumerate(seen.rank.tolist()) if _found(row, quotas)}
        best: tuple[float, int, int] = (0.0, -1, 0)
        for source, most in enumerate(budget):
            run = 0
            while quotas[source] + run * block < most:
                run += 1
                tried = list(quotas)
                tried[source] = min(most, quotas[source] + run * block)
                new = {i for i, row in enumerate(seen.rank.tolist()) if _found(row, tried)} - there
                ratio = sum(bool(seen.wanted[i]) for i in new) / max(len(new), 1e-9)
                if ratio > best[0]:
                    best = (ratio, source, run)
        if best[1] < 0:
            return out
        quotas[best[1]] = min(budget[best[1]], quotas[best[1]] + best[2] * block)
        out.append((list(quotas), best[0]))


def _found(row: list[int], quotas: list[int]) -> bool:
    return any(0 <= rank < quota for rank, quota in zip(row, quotas, strict=True))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), sources=st.integers(1, 3), block=st.integers(2, 5))
def test_a_path_is_that_of_the_slow_twin(seed: int, sources: int, block: int) -> None:
    budget = [block * 3] * sources
    seen = seen_at_random(seed, 4, 25, sources, budget[0])
    path, expected = greedy_path(seen, np.array(budget), block), slow_path(seen, budget, block)
    assert path.quotas[1:].tolist() == [quotas for quotas, _ in expected]
    assert path.worth == pytest.approx(
        np.minimum.accumulate([worth for _, worth in expected] or [0.0])[: len(expected)]
    )


def test_a_lower_price_never_buys_less_and_price_0_keeps_everything() -> None:
    seen = seen_at_random(3, 40, 60, 3, 50)
    path = greedy_path(seen, np.array([50, 50, 50]), 10)
    bought = [path.at(price) for price in np.linspace(1.0, 0.0, 30)]
    assert all((after >= before).all() for before, after in pairwise(bought))
    assert replay(seen, path.at(0.0)).share == 1.0
    assert path.at(np.inf).tolist() == [0, 0, 0]


def test_what_two_sources_find_is_bought_once() -> None:
    """The second source has the first one's wanted pins only: nothing is left for it to sell."""
    rank = np.array([[0, 0], [1, 1], [2, -1], [-1, 2]], np.int32)
    wanted = np.array([True, True, False, False])
    seen = SeenCandidates(("a", "b"), np.zeros(4, np.int64), rank, wanted, np.ones(4), np.zeros((1, 2)))
    assert greedy_path(seen, np.array([2, 2]), 2).quotas.tolist() == [[0, 0], [2, 0]]
