"""Walks over shards: as the whole graph in the first step, sums of what the shards saw, and the rules of an answer."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.graph.csr import Graph
from cluster.graph.splitting import split
from cluster.walk.exact import visit_distribution
from cluster.walk.prepare import degrees_at
from cluster.walk.sharded import ShardedWalker, ShardWalker, split_steps
from cluster.walk.walker import Walker, WalkParams, WalkResult

PINS = 400


def random_graph(seed: int, edges: int = 2000) -> Graph:
    rng = np.random.default_rng(seed)
    return Graph.from_edges(rng.integers(0, 60, edges), rng.integers(0, PINS, edges), 60, PINS)


def sharded(graph: Graph, shards: int, answer: int | None = None) -> ShardedWalker:
    return ShardedWalker(graph, split(graph, shards), answer)


def start_at(pin: int) -> np.ndarray:
    start = np.zeros(PINS)
    start[pin] = 1.0
    return start


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12), st.integers(0, PINS - 1), st.integers(1, 2000))
def test_the_first_step_is_that_of_the_whole_graph(seed: int, shards: int, pin: int, edges: int) -> None:
    graph = random_graph(seed, edges)
    parts = split(graph, shards)
    steps = np.array([1000.0])
    share = split_steps(steps, np.array([degrees_at(part.pin_index, np.array([pin])) for part in parts]))
    if not graph.pin_degree[pin]:
        assert share.sum() == 0
        return
    assert share.sum() == pytest.approx(1000)
    expected = 1000 * visit_distribution(graph, start_at(pin), 1.0)
    walked = [
        steps * visit_distribution(part, start_at(pin), 1.0)
        for part, steps in zip(parts, share[:, 0], strict=True)
        if steps
    ]
    assert np.allclose(sum(walked), expected)


def test_walks_of_one_step_agree_with_the_whole_graph_and_longer_ones_come_close() -> None:
    graph = random_graph(1)
    query = [1, 2, 3]
    for restart, close in ((1.0, 0.02), (0.5, 0.25)):
        params = WalkParams(steps=400_000, restart=restart, top_k=PINS, drop_query=False)
        visits = []
        for walker in (Walker(graph), sharded(graph, 4)):
            found = walker.walk_indices(query, params=params, seed=5)
            visits.append(np.bincount(found.pins, found.visits, PINS) / found.visits.sum())
        assert np.abs(visits[0] - visits[1]).sum() < close


@pytest.mark.parametrize("seed", range(4))
def test_one_shard_answers_as_the_walker_does(seed: int) -> None:
    graph = random_graph(seed)
    query = {"pins": [3, 9, 11], "weights": [1.0, 0.3, 2.0], "boards": [5], "exclude": [1, 2], "seed": seed}
    params = WalkParams(steps=30_000, top_k=50, popularity_discount=0.3, min_visits=2)
    whole = Walker(graph).walk_indices(params=params, **query)
    found = sharded(graph, 1).walk_indices(params=params, **query)
    assert set(found.pins.tolist()) == set(whole.pins.tolist())
    assert np.allclose(found.scores, whole.scores, rtol=1e-5)
    at = np.argsort(found.pins)
    beside = np.argsort(whole.pins)
    assert np.array_equal(found.by_query[at], whole.by_query[beside])
    assert np.array_equal(found.visits[at], whole.visits[beside])
    assert np.array_equal(found.hits[at], whole.hits[beside])
    assert found.steps == whole.steps


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 50),
    st.integers(1, 6),
    st.lists(st.integers(-1, PINS - 1), max_size=6),
    st.lists(st.integers(-1, PINS - 1), max_size=30),
    st.integers(1, 3000),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5]),
)
def test_answers_keep_the_rules(
    seed: int, shards: int, query: list, exclude: list, steps: int, min_visits: int, discount: float
) -> None:
    graph = random_graph(seed, edges=600)  # some pins stay isolated
    allowed = np.arange(PINS) % 3 > 0
    params = WalkParams(steps=steps, min_visits=min_visits, top_k=100, popularity_discount=discount)
    result = sharded(graph, shards).walk_indices(query, params=params, seed=seed, exclude=exclude, allowed=allowed)
    assert np.array_equal(result.by_query.sum(1), result.visits)
    assert np.array_equal((result.by_query > 0).sum(1), result.hits)
    assert result.by_query.shape == (result.pins.size, len(query))
    assert result.visits.sum() <= result.steps
    assert (result.visits >= min_visits).all()
    assert not set(result.pins.tolist()) & {p for p in exclude + query if p >= 0}
    assert allowed[result.pins].all()
    assert len(set(result.pins.tolist())) == result.pins.size <= 100
    assert (np.diff(result.scores) <= 0).all()
    boosted = np.sqrt(result.by_query.astype(float)).sum(1) ** 2 / graph.pin_degree[result.pins] ** discount
    assert np.allclose(result.scores, boosted, rtol=1e-5)


def counted(found: list[WalkResult]) -> Counter:
    """Visits by (pin, query), added up one by one."""
    counts: Counter = Counter()
    for one in found:
        for pin, row in zip(one.pins.tolist(), one.by_query.tolist(), strict=True):
            counts.update({(pin, q): visits for q, visits in enumerate(row) if visits})
    return counts


@pytest.mark.parametrize("lost", [None, 0, 3])
def test_visits_are_the_sum_of_the_shards_that_answered(lost: int | None) -> None:
    graph = random_graph(2)
    walker = sharded(graph, 4)
    params = WalkParams(steps=20_000, top_k=PINS)
    found = walker.scatter(params, np.array([1, 2]), np.array([7]), np.ones(3), seed=3)
    assert len(found) == 4
    answered = [one for at, one in enumerate(found) if at != lost]
    whole = walker.gather(answered, params, 3)
    assert counted([whole]) == counted(answered)
    assert whole.steps == sum(one.steps for one in answered)


def test_shards_that_may_tell_little_tell_of_their_best() -> None:
    graph = random_graph(4)
    params = WalkParams(steps=20_000, top_k=7)
    asked = (params, np.array([1, 2]), np.zeros(0, np.int64), np.ones(2), 3)
    told = sharded(graph, 3, answer=10).scatter(*asked)
    more = sharded(graph, 3, answer=3).scatter(*asked)
    all_of_them = sharded(graph, 3).scatter(*asked)
    for few, many in zip(told, all_of_them, strict=True):
        assert np.array_equal(few.pins, many.pins[:10])
    assert [one.pins.size for one in more] == [7, 7, 7]  # no fewer than the answer may want
    assert sharded(graph, 3, answer=10).gather(told, params, 2).pins.size == 7


def test_a_shard_alone_walks_what_it_walks_among_all() -> None:
    graph = random_graph(5)
    params = WalkParams(steps=20_000, top_k=50)
    asked = (params, np.array([1, 2, -1]), np.array([7]), np.array([1.0, 0.5, 1.0, 2.0]), 3)
    parts = split(graph, 3)
    among_all = sharded(graph, 3).scatter(*asked)
    alone = [ShardWalker(graph, part, at).walk(*asked) for at, part in enumerate(parts)]
    for mine, theirs in zip(alone, among_all, strict=True):
        assert mine is not None
        assert np.array_equal(mine.pins, theirs.pins)
        assert np.array_equal(mine.by_query, theirs.by_query)
    assert ShardWalker(graph, parts[0], 0).walk(params, np.array([-1]), np.zeros(0, int), np.ones(1), 3) is None


def test_query_pins_that_nobody_knows_find_nothing() -> None:
    found = sharded(random_graph(1), 3).walk_indices([-1, -1])
    assert (found.pins.size, found.by_query.shape, found.steps) == (0, (0, 2), 0)
    assert sharded(random_graph(1), 3).walk_indices([]).pins.size == 0
