"""Groups of walks part in proportion; counts beyond 16 bits; candidates that cannot win are dropped without harm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.bench.walk.walk_layouts import pack, width
from cluster.graph.csr import Graph
from cluster.graph.packing import pack_offsets
from cluster.walk.select import lower_bound, select
from cluster.walk.walker import Walker, WalkParams


def test_one_step_walks_visit_every_path_equally_often() -> None:
    """3 boards of 4 own pins each: 1,200 walks are 100 a pin, whatever the seed."""
    boards = [b for b in range(3) for _ in range(5)]
    pins = [p for b in range(3) for p in (0, *range(1 + 4 * b, 5 + 4 * b))]
    walker = Walker(Graph.from_edges(boards, pins, 3, 13))
    for seed in range(20):
        params = WalkParams(steps=1500, restart=1.0, top_k=13, drop_query=False)
        result = walker.walk_indices([0], params=params, seed=seed)
        visits = dict(zip(result.pins.tolist(), result.visits.tolist(), strict=True))
        assert visits == {0: 300} | dict.fromkeys(range(1, 13), 100)


@pytest.mark.parametrize("steps", [7, 1501, 40_000])
def test_what_does_not_divide_is_spread_within_one(steps: int) -> None:
    graph = Graph.from_edges([0] * 11, range(11), 1, 11)
    params = WalkParams(steps=steps, restart=1.0, top_k=11, drop_query=False)
    result = Walker(graph).walk_indices([4], params=params, seed=1)
    assert result.visits.sum() == steps == result.steps
    if steps > 11:
        assert result.visits.max() - result.visits.min() <= 1


def test_counts_beyond_sixteen_bits() -> None:
    graph = Graph.from_edges([0, 0, 1], [0, 1, 2], 2, 3)
    params = WalkParams(steps=1_000_000, restart=0.5, top_k=3, drop_query=False)
    result = Walker(graph).walk_indices([0, 2], params=params, seed=1)
    assert result.visits.sum() == result.steps
    assert result.by_query.sum(0).min() > 2 * 65_535


def test_the_lower_bound_is_reached_by_k_and_close() -> None:
    scores = np.random.default_rng(0).gamma(0.5, 40.0, 9000).astype(np.float32)
    bound = lower_bound(scores, scores.size, 100, np.zeros(2048, np.int64))
    exact = np.sort(scores)[-100]
    assert 0.998 * exact < bound <= exact


def test_packed_ids_come_back() -> None:
    values = np.random.default_rng(1).integers(0, 777, 4000).astype(np.int32)
    packed = pack(values, 777)
    bits = int(width(777))
    whole = int.from_bytes(packed.tobytes(), "little")
    assert [(whole >> (i * bits)) & ((1 << bits) - 1) for i in range(0, 4000, 7)] == values[::7].tolist()


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 300), st.integers(1, 320), st.integers(1, 6), st.integers(0, 2**32 - 1), st.booleans())
def test_of_equal_scores_at_the_cut_popular_pins_are_kept(n: int, k: int, values: int, seed: int, told: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(1, values + 1, n).astype(np.float32) * np.float32(1.37)
    pins = rng.permutation(n).astype(np.uint32)
    degree = rng.integers(0, 5, n)
    index = pack_offsets(np.concatenate([[0], np.cumsum(degree)]))
    keys = np.zeros(k, np.uint64)
    priority = np.zeros(n, np.uint32)
    m = select(scores, pins, index if told else index[:0], n, k, np.zeros(2048, np.int64), keys, priority)
    chosen = (keys[:m] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    assert m == min(n, k) == len(set(chosen.tolist()))
    assert np.array_equal(scores[chosen], np.sort(scores)[::-1][:m]), "best first"
    if told:
        expected = np.lexsort((-degree[pins], -scores))[:m]
        assert sorted(zip(scores[chosen], degree[pins[chosen]], strict=True)) == sorted(
            zip(scores[expected], degree[pins[expected]], strict=True)
        )
