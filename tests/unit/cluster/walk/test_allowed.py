"""Walks that may answer with some pins only: what the same walk finds without a filter, filtered before the cut."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.walk.reference import plain_pixie
from cluster.walk.walker import Walker, WalkParams, WalkResult

N_PINS = 700  # several counting buckets
EVERYTHING = WalkParams(steps=20_000, top_k=N_PINS)


def random_graph(seed: int, edges: int = 2500) -> Graph:
    rng = np.random.default_rng(seed)
    return Graph.from_edges(rng.integers(0, 60, edges), rng.integers(0, N_PINS, edges), 60, N_PINS)


def some(seed: int, share: float) -> np.ndarray:
    return np.random.default_rng([seed, 1]).random(N_PINS) < share


def by_pin(result: WalkResult) -> dict[int, tuple[float, int, int, tuple[int, ...]]]:
    rows = zip(result.scores, result.visits, result.hits, map(tuple, result.by_query.tolist()), strict=True)
    return dict(zip(result.pins.tolist(), ((float(s), int(v), int(h), q) for s, v, h, q in rows), strict=True))


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 20),
    st.lists(st.integers(-1, N_PINS - 1), min_size=1, max_size=4),
    st.lists(st.integers(0, N_PINS - 1), max_size=20),
    st.sampled_from([0.0, 0.01, 0.3, 1.0]),
    st.integers(1, 40),
    st.sampled_from([0.5, 1.0]),
    st.sampled_from([0.0, 0.6]),
    st.integers(1, 3),
)
def test_the_best_allowed_pins_are_those_of_the_whole_answer(
    seed: int, query: list, exclude: list, share: float, k: int, boost: float, beta: float, min_visits: int
) -> None:
    """The slow twin: answer with all pins, leave out in Python what is not allowed, and cut then."""
    walker = Walker(random_graph(seed))
    allowed = some(seed, share)
    fields = {"steps": 3000, "boost": boost, "popularity_discount": beta, "min_visits": min_visits}
    whole = walker.walk_indices(query, params=WalkParams(**fields, top_k=N_PINS), seed=seed, exclude=exclude)
    params = WalkParams(**fields, top_k=k)
    cut = walker.walk_indices(query, params=params, seed=seed, exclude=exclude, allowed=allowed)
    left = [row for row, pin in enumerate(whole.pins.tolist()) if allowed[pin]]
    assert cut.steps == whole.steps
    assert np.array_equal(cut.scores, whole.scores[left][:k]), "pins tied at the cut may differ, their scores not"
    told = by_pin(whole)
    assert all(allowed[pin] and row == told[pin] for pin, row in by_pin(cut).items())
    open_end = walker.walk_indices(query, params=params, seed=seed, exclude=exclude, allowed=np.ones(N_PINS, bool))
    plain = walker.walk_indices(query, params=params, seed=seed, exclude=exclude)
    assert np.array_equal(open_end.pins, plain.pins), "a filter that all pins match changes nothing"
    assert np.array_equal(open_end.scores, plain.scores)


def test_rare_allowed_pins_are_found_below_the_cut_of_the_others() -> None:
    walker = Walker(random_graph(1))
    whole = walker.walk_indices([1, 2], params=EVERYTHING, seed=3)
    allowed = np.zeros(N_PINS, bool)
    allowed[whole.pins[-5:]] = True
    few = WalkParams(steps=20_000, top_k=5)
    assert set(walker.walk_indices([1, 2], params=few, seed=3, allowed=allowed).pins) == set(whole.pins[-5:])


def test_plain_pixie_leaves_out_the_same_pins() -> None:
    graph = random_graph(2)
    allowed = some(2, 0.2)
    pins = np.array([3, 40, 200], np.int32)
    slow, scores = plain_pixie(graph, pins, np.ones(3), 300_000, 0.5, 60, seed=9, allowed=allowed)
    params = WalkParams(steps=300_000, top_k=N_PINS, drop_query=False)
    fast = Walker(graph).walk_indices(pins, params=params, seed=9, allowed=allowed)
    assert allowed[slow].all()
    assert len(set(slow[:30].tolist()) & set(fast.pins[:36].tolist())) >= 28
    found = dict(zip(fast.pins.tolist(), fast.scores.tolist(), strict=True))
    assert all(found[pin] == pytest.approx(score, rel=0.1) for pin, score in zip(slow[:20], scores[:20], strict=True))


def test_early_stopping_waits_for_allowed_pins() -> None:
    walker = Walker(random_graph(3, edges=4000))
    params = WalkParams(steps=400_000, n_p=5, n_v=40, top_k=N_PINS, drop_query=False)
    early = walker.walk_indices([1, 2], params=params, seed=1)
    allowed = np.zeros(N_PINS, bool)
    allowed[early.pins[np.argsort(early.by_query.min(1))[:4]]] = True  # fewer than n_p: there is nothing to stop for
    waited = walker.walk_indices([1, 2], params=params, seed=1, allowed=allowed)
    assert early.steps < 0.5 * waited.steps
    assert waited.steps == pytest.approx(400_000, rel=0.01)


def test_threads_with_filters_of_their_own_do_not_disturb_each_other() -> None:
    walker = Walker(random_graph(5))
    masks = [None, *(some(seed, 0.3) for seed in range(5))]
    expected = [walker.walk_indices([1, 2], params=EVERYTHING, seed=4, allowed=mask).pins for mask in masks]
    wrong: list[int] = []

    def work() -> None:
        for at, mask in enumerate(masks):
            found = walker.walk_indices([1, 2], params=EVERYTHING, seed=4, allowed=mask)
            if not np.array_equal(found.pins, expected[at]):
                wrong.append(at)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("bad", [np.ones(N_PINS - 1, bool), np.ones(N_PINS, np.int8), np.zeros(0, bool)])
def test_a_mask_of_another_length_or_type_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=r"allowed must be bool\[700\]"):
        Walker(random_graph(6)).walk_indices([1], allowed=bad)
