"""Properties of the walker that hold for any graph and request: sums, exclusions, seeds, threads, limits."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BundleError, ConfigError
from cluster.graph.csr import Graph
from cluster.graph.ids import IdMap
from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX
from cluster.walk.walker import Walker, WalkParams, WalkResult
from cluster.walk.weights import allocate, decayed_weights


def random_graph(seed: int, boards: int = 60, pins: int = 400, edges: int = 2000) -> Graph:
    rng = np.random.default_rng(seed)
    return Graph.from_edges(rng.integers(0, boards, edges), rng.integers(0, pins, edges), boards, pins)


def same(a: WalkResult, b: WalkResult) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("pins", "scores", "visits", "hits", "by_query"))


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 50),
    st.lists(st.integers(-1, 399), max_size=6),
    st.lists(st.integers(-1, 399), max_size=30),
    st.integers(1, 3000),
    st.integers(1, 4),
    st.integers(0, 2**63),
    st.sampled_from([0.05, 0.5, 1.0]),
)
def test_sums_are_self_consistent(
    graph_seed: int, query: list, exclude: list, steps: int, min_visits: int, seed: int, restart: float
) -> None:
    graph = random_graph(graph_seed, edges=600)  # some pins stay isolated
    params = WalkParams(steps=steps, restart=restart, min_visits=min_visits, top_k=500)
    result = Walker(graph).walk_indices(query, params=params, seed=seed, exclude=exclude)
    assert np.array_equal(result.by_query.sum(1), result.visits)
    assert np.array_equal((result.by_query > 0).sum(1), result.hits)
    assert result.visits.sum() <= result.steps
    assert (result.visits >= min_visits).all()
    assert not set(result.pins.tolist()) & {p for p in exclude + query if p >= 0}
    assert len(set(result.pins.tolist())) == result.pins.size
    assert (np.diff(result.scores) <= 0).all()
    boosted = np.sqrt(result.by_query.astype(float)).sum(1) ** 2
    assert np.allclose(result.scores, boosted, rtol=1e-5)
    assert all(graph.pin_degree[p] > 0 for p in result.pins)


def test_every_visit_is_told_when_nothing_is_cut() -> None:
    result = Walker(random_graph(1)).walk_indices([1, 2, 3], params=WalkParams(steps=5000, top_k=400, drop_query=False))
    assert result.visits.sum() == result.steps
    assert result.steps == pytest.approx(5000, rel=0.05)


def test_isolated_and_unknown_query_pins_give_nothing() -> None:
    graph = Graph.from_edges([0], [0], 1, 3, pin_ids=["a", "b", "c"])
    walker = Walker(graph)
    assert walker.walk(["b", "nobody"]).pins.size == 0
    assert walker.walk([]).by_query.shape == (0, 0)
    mixed = walker.walk(["b", "a", "nobody"], params=WalkParams(steps=100, drop_query=False))
    assert mixed.pin_ids.tolist() == ["a"]
    assert mixed.by_query.tolist() == [[0, mixed.steps, 0]]


def test_degree_one_walks_stay_at_home() -> None:
    graph = Graph.from_edges([0, 1], [0, 1], 2, 2)
    result = Walker(graph).walk_indices([1], params=WalkParams(steps=1000, drop_query=False))
    assert (result.pins.tolist(), result.visits.tolist()) == ([1], [result.steps])


def test_an_empty_graph_answers_nothing() -> None:
    assert Walker(Graph.from_edges([], [], 0, 0)).walk([1]).pins.size == 0


def test_top_k_is_a_prefix_of_the_full_order() -> None:
    walker = Walker(random_graph(2))
    full = walker.walk_indices([1, 9], params=WalkParams(steps=3000, top_k=400))
    cut = walker.walk_indices([1, 9], params=WalkParams(steps=3000, top_k=25))
    assert np.array_equal(np.sort(full.scores)[::-1][:25], cut.scores)
    assert cut.pins.size == 25
    clear = full.scores > full.scores[25]  # pins tied at the cut may differ
    assert set(full.pins[clear]) <= set(cut.pins)


def test_seeds_decide_everything() -> None:
    walker = Walker(random_graph(3))
    other = Walker(random_graph(3))
    assert same(walker.walk([1, 2], seed=7), other.walk([1, 2], seed=7))
    assert not same(walker.walk([1, 2], seed=7), walker.walk([1, 2], seed=8))


def test_the_memory_of_an_earlier_request_leaves_no_trace() -> None:
    graph = random_graph(4)
    walker = Walker(graph)
    fresh = walker.walk([5], steps=500, seed=3)
    walker.walk([1, 2, 3, 4], steps=300_000, exclude=[8, 9, 10])
    walker.walk([1, 2], params=WalkParams(n_p=2, n_v=5))
    assert same(walker.walk([5], steps=500, seed=3), fresh)


def test_threads_do_not_disturb_each_other() -> None:
    walker = Walker(random_graph(5))
    expected = [walker.walk([s, s + 1], steps=20_000, seed=s) for s in range(12)]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(5):
            wrong.extend(s for s in range(12) if not same(walker.walk([s, s + 1], steps=20_000, seed=s), expected[s]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_early_stopping_walks_less_and_has_what_it_promised() -> None:
    walker = Walker(random_graph(6))
    full = walker.walk_indices([1, 2], params=WalkParams(steps=400_000))
    early = walker.walk_indices([1, 2], params=WalkParams(steps=400_000, n_p=10, n_v=50, top_k=400, drop_query=False))
    assert early.steps < 0.3 * full.steps
    assert ((early.by_query >= 50).sum(0) >= 10).all()
    never = walker.walk_indices([1, 2], params=WalkParams(steps=400_000, n_p=10, n_v=10**6))
    assert never.steps == pytest.approx(400_000, rel=0.01)


def test_popularity_discount_divides_by_degree_to_beta() -> None:
    graph = random_graph(7)
    plain = Walker(graph).walk_indices([1, 2], params=WalkParams(steps=50_000, top_k=400))
    less = Walker(graph).walk_indices([1, 2], params=WalkParams(steps=50_000, top_k=400, popularity_discount=0.7))
    expected = dict(zip(plain.pins, plain.scores / graph.pin_degree[plain.pins] ** 0.7, strict=True))
    assert np.allclose(less.scores, [expected[p] for p in less.pins], rtol=1e-5)


def test_weights_shift_steps_and_zero_weight_means_none() -> None:
    result = Walker(random_graph(8)).walk(
        [1, 2, 3], [1.0, 0.0, 2.0], params=WalkParams(top_k=400, drop_query=False, hub="uniform")
    )
    per_query = result.by_query.sum(0)
    assert per_query[1] == 0
    assert per_query[2] / per_query[0] == pytest.approx(2.0, rel=0.03)


def test_allocation_follows_the_formula() -> None:
    degrees = np.array([1, 10, 100, 0])
    weights = np.array([1.0, 2.0, 0.5, 3.0])
    for hub, top in (("log", np.log(1000)), ("linear", 1000.0)):
        scale = weights * degrees * (top - np.log(np.maximum(degrees, 1)))
        assert np.allclose(allocate(degrees, weights, 1000, 500, hub), 500 * scale / scale.sum())
    flatter = allocate(degrees, weights, 1000, 500, "log", 0.5)
    scale = weights * degrees**0.5 * (np.log(1000) - np.log(np.maximum(degrees, 1)))
    assert np.allclose(flatter, 500 * scale / scale.sum())
    assert allocate(np.array([1000]), np.ones(1), 1000, 500, "log").tolist() == [500.0]


def test_weights_halve_with_age() -> None:
    assert np.allclose(decayed_weights([0, 3600, 7200], 3600, [1, 1, 4]), [1, 0.5, 1])


@pytest.mark.parametrize(
    "bad",
    [{"steps": 0}, {"restart": 0.0}, {"top_k": 0}, {"hub": "max"}, {"bias_share": 1.5}, {"restart": float("nan")}],
)
def test_bad_parameters_name_themselves(bad: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        WalkParams(**bad)


@pytest.mark.parametrize("weights", [[1.0], [1.0, float("nan")]])
def test_bad_weights_are_refused(weights: list) -> None:
    with pytest.raises(ConfigError, match="weights"):
        Walker(random_graph(9)).walk([1, 2], weights)


def test_indices_outside_the_graph_are_refused() -> None:
    with pytest.raises(ConfigError, match="outside"):
        Walker(random_graph(9)).walk_indices([400])


def test_opened_graphs_walk_like_the_ones_in_memory(tmp_path: Path) -> None:
    graph = random_graph(10)
    graph.save(tmp_path)
    assert same(Walker.open(tmp_path).walk([3], seed=1), Walker(graph).walk([3], seed=1))
    with pytest.raises(BundleError):
        Walker.open(tmp_path / "absent")


def test_many_buckets_agree_with_few() -> None:
    """Indices above 2^22 take wider buckets; the same graph spread over them must give the same visits."""
    small = random_graph(11, pins=50)
    big = Graph.from_edges(*_edges(small, scale=100_003), 60, 5_000_200, pin_ids=IdMap.from_ids(np.arange(5_000_200)))
    a = Walker(small).walk_indices([1, 2], params=WalkParams(steps=20_000), seed=5)
    b = Walker(big).walk_indices([100_003, 200_006], params=WalkParams(steps=20_000), seed=5)
    order_a = np.argsort(a.pins)
    order_b = np.argsort(b.pins)
    assert np.array_equal(a.pins[order_a] * 100_003, b.pins[order_b])
    assert np.array_equal(a.by_query[order_a], b.by_query[order_b])


def _edges(graph: Graph, scale: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(graph.n_boards), graph.board_degree), graph.board_pins * scale


def test_offsets_beyond_2_to_31_edges_and_degrees_beyond_the_packed_field(tmp_path: Path) -> None:
    """A sparse file stands for 3e9 edges: all but two are pin 0's, whose degree does not fit; pin 1's start behind."""
    n_edges = 3_000_000_000
    pin_boards = np.memmap(
        tmp_path / "edges", np.int32, "w+", shape=(n_edges + 2,)
    )  # zeros: pin 0 is n_edges times on board 0
    pin_boards[n_edges:] = [1, 2]
    offsets = np.array([0, n_edges, n_edges + 2], np.uint64)
    pin_index = offsets << np.uint64(DEGREE_BITS)
    pin_index[:2] |= np.array([DEGREE_MAX, 2], np.uint64)
    half = Graph.from_edges([0, 1, 2], [0, 1, 1], 3, 2)
    graph = Graph(pin_index, pin_boards, half.board_index, half.board_pins, half.pin_ids, half.board_ids)
    params = WalkParams(steps=1000, drop_query=False)
    for pin in (0, 1):
        result = Walker(graph).walk_indices([pin], params=params)
        assert (result.pins.tolist(), result.visits.sum()) == ([pin], result.steps)
