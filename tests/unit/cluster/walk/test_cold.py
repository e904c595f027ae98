"""Pins without an edge beside the walk: no walk reaches them, none starts from them, and none is changed by them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.graph.csr import Graph
from cluster.walk.exact import visit_distribution
from cluster.walk.walker import Walker, WalkParams


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 50),
    cold=st.integers(1, 300),
    query=st.lists(st.integers(-1, 99), max_size=5),
    linked=st.booleans(),
    locales=st.integers(1, 3),
    n_p=st.sampled_from([0, 4]),
)
def test_pins_without_an_edge_change_no_walk(
    seed: int, cold: int, query: list[int], linked: bool, locales: int, n_p: int
) -> None:
    """Beside any number of cold pins, and from them, walks are those of the graph without them, pin by pin."""
    rng = np.random.default_rng(seed)
    boards, pins = rng.integers(0, 30, 400), rng.integers(0, 100, 400)
    pins[:100] = np.arange(100)  # all of them are on a board
    at = np.sort(rng.permutation(100 + cold)[:100])
    code = rng.integers(0, locales, 100 + cold)
    without = Graph.from_edges(boards, pins, 30, 100, at, pin_locale=code[at])
    graph = Graph.from_edges(boards, at[pins], 30, 100 + cold, pin_locale=code)
    if linked:
        without, graph = without.linked(), graph.linked()
    asked = [*(at[pin] if pin >= 0 else pin for pin in query), *np.setdiff1d(np.arange(100 + cold), at)[:2]]
    params = WalkParams(steps=3000, top_k=400, n_p=n_p, n_v=n_p, bias_share=0.3, drop_query=False)
    found, expected = (Walker(one).walk(asked, params=params, seed=seed, bias_locale=0) for one in (graph, without))
    assert found.steps == expected.steps
    mine, theirs = (dict(zip(one.pin_ids.tolist(), one.by_query.tolist(), strict=True)) for one in (found, expected))
    assert mine == theirs
    assert (graph.pin_degree[found.pins] > 0).all()
    start = np.bincount(graph.pin_ids.index_of([at[pin] for pin in query if pin >= 0]), minlength=graph.n_pins)
    exact = visit_distribution(graph, start, 0.5)
    assert (exact[found.pins] > 0).all()
