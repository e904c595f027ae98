"""The walks against power iteration and against the plain Pixie of the paper, on small graphs. All seeds are fixed."""

import numpy as np
import pytest

from cluster.graph.csr import Graph
from cluster.graph.packing import Wanted
from cluster.walk.exact import visit_distribution
from cluster.walk.reference import pixie_python, plain_pixie
from cluster.walk.walker import Walker, WalkParams, WalkResult
from cluster.walk.weights import allocate

N_PINS = 300
N_BOARDS = 120
EVERYTHING = WalkParams(steps=400_000, top_k=N_PINS, drop_query=False)


@pytest.fixture(scope="module")
def graph() -> Graph:
    rng = np.random.default_rng(5)
    pins = (rng.random(2500) ** 2.5 * N_PINS).astype(int)  # a few hubs, many rare pins
    return Graph.from_edges(rng.integers(0, N_BOARDS, 2500), pins, N_BOARDS, N_PINS)


def share(result: WalkResult) -> np.ndarray:
    out = np.zeros(N_PINS)
    out[result.pins] = result.visits / result.steps
    return out


def one_hot(pin: int) -> np.ndarray:
    out = np.zeros(N_PINS)
    out[pin] = 1.0
    return out


def variation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).sum() / 2)


@pytest.mark.parametrize("restart", [0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("pin", [0, 150, 290])
def test_visits_follow_the_restart_walk(graph: Graph, pin: int, restart: float) -> None:
    exact = visit_distribution(graph, one_hot(pin), restart)
    params = WalkParams(steps=400_000, restart=restart, top_k=N_PINS, drop_query=False)
    assert variation(share(Walker(graph).walk_indices([pin], params=params, seed=1)), exact) < 0.012


def test_variation_shrinks_as_steps_grow(graph: Graph) -> None:
    exact = visit_distribution(graph, one_hot(7), 0.5)

    def params(steps: int) -> WalkParams:
        return WalkParams(steps=steps, top_k=N_PINS, drop_query=False)

    errors = [
        np.mean([variation(share(Walker(graph).walk_indices([7], params=params(n), seed=s)), exact) for s in range(8)])
        for n in (2_000, 32_000, 512_000)
    ]
    assert errors[0] > 2.5 * errors[1] > 6 * errors[2]


def test_short_requests_are_unbiased(graph: Graph) -> None:
    """A handful of stratified walks a request: the mean over many seeds must still be the exact distribution."""
    exact = visit_distribution(graph, one_hot(7), 0.5)
    walker = Walker(graph)
    params = WalkParams(steps=14, top_k=N_PINS, drop_query=False)
    visits = np.zeros(N_PINS)
    steps = 0
    for seed in range(8_000):
        result = walker.walk_indices([7], params=params, seed=seed)
        visits[result.pins] += result.visits
        steps += result.steps
    assert steps / 8_000 == pytest.approx(14, abs=0.15)
    assert variation(visits / steps, exact) < 0.03


def test_agrees_with_plain_python(graph: Graph) -> None:
    """Chi-square over pins of the two samples' visits. Visits within a walk depend on each other, hence the slack."""
    slow = pixie_python(graph, 3, 60_000, 0.5, seed=2)
    fast = Walker(graph).walk_indices([3], params=WalkParams(steps=60_000, top_k=N_PINS, drop_query=False), seed=2)
    counts = np.zeros(N_PINS)
    counts[fast.pins] = fast.visits
    seen = slow + counts > 20
    chi = ((slow - counts)[seen] ** 2 / (slow + counts)[seen]).sum() / seen.sum()
    assert 0.3 < chi < 1.6
    other = pixie_python(graph, 290, 60_000, 0.5, seed=2)  # the same statistic must tell another query pin apart
    assert ((other - counts)[seen] ** 2 / (other + counts + 1)[seen]).sum() / seen.sum() > 10


def test_plain_pixie_and_walker_rank_alike(graph: Graph) -> None:
    pins = np.array([3, 40, 200], np.int32)
    weights = np.array([1.0, 0.5, 2.0], np.float32)
    plain, scores = plain_pixie(graph, pins, weights, 400_000, 0.5, N_PINS, seed=9)
    ours = Walker(graph).walk_indices(pins, weights, params=EVERYTHING, seed=9)
    assert len(set(plain[:30]) & set(ours.pins[:30])) >= 28
    by_pin = dict(zip(ours.pins.tolist(), ours.scores.tolist(), strict=True))
    for pin, score in zip(plain[:30].tolist(), scores[:30].tolist(), strict=True):
        assert by_pin[pin] == pytest.approx(score, rel=0.08)


def test_boosted_scores_match_the_formula_on_exact_visits(graph: Graph) -> None:
    pins = np.array([3, 40, 200])
    steps = allocate(graph.pin_degree[pins], np.ones(3), graph.max_pin_degree, 400_000, "log")
    roots = sum(np.sqrt(n * visit_distribution(graph, one_hot(p), 0.5)) for p, n in zip(pins, steps, strict=True))
    result = Walker(graph).walk_indices(pins, params=EVERYTHING, seed=4)
    expected = (roots**2)[result.pins[:40]]
    assert np.abs(result.scores[:40] / expected - 1).max() < 0.05


def test_walks_from_boards(graph: Graph) -> None:
    start = np.zeros(N_PINS)
    mine = graph.board_pins[graph.board_offsets[11] : graph.board_offsets[12]]
    start[mine] = 1 / mine.size
    exact = 0.5 * start + 0.5 * visit_distribution(graph, start, 0.5)  # the first step is board -> pin
    assert variation(share(Walker(graph).walk_indices([], boards=[11], params=EVERYTHING, seed=3)), exact) < 0.012


def test_pins_and_boards_start_together(graph: Graph) -> None:
    result = Walker(graph).walk_indices([3], boards=[11], params=EVERYTHING, seed=3)
    alone = Walker(graph).walk_indices([], boards=[11], params=EVERYTHING, seed=3)
    column = np.zeros(N_PINS)
    column[result.pins] = result.by_query[:, 1]
    assert variation(column / column.sum(), share(alone)) < 0.015


def test_personalised_edges_take_only_the_wanted_range() -> None:
    rng = np.random.default_rng(6)
    graph = Graph.from_edges(
        rng.integers(0, 40, 900),
        rng.integers(0, 200, 900),
        40,
        200,
        pin_locale=rng.integers(0, 3, 200),
        locales=["de", "fr", "ja"],
    )
    start, end = graph.locale_range("fr")
    shares = []
    for bias in (0.0, 0.5, 1.0):
        params = WalkParams(steps=100_000, bias_share=bias, top_k=200, drop_query=False)
        result = Walker(graph).walk_indices([5], params=params, bias=(start, end), seed=1)
        inside = (result.pins >= start) & (result.pins < end)
        shares.append(result.visits[inside].sum() / result.steps)
    # every board holds pins of the locale here, so a biased step never falls back on the whole board
    assert shares[1] == pytest.approx(0.5 + 0.5 * shares[0], abs=0.02)
    assert shares[2] == 1.0


def test_biased_steps_are_uniform_within_the_range() -> None:
    graph = Graph.from_edges([0] * 6, range(6), 1, 6, pin_locale=[0, 1, 1, 0, 1, 2])
    params = WalkParams(steps=90_000, restart=1.0, bias_share=1.0, top_k=6, drop_query=False)
    result = Walker(graph).walk_indices([0], params=params, bias=graph.locale_range(1), seed=1)
    assert sorted(graph.pin_ids.ids_of(result.pins)) == [1, 2, 4]
    assert np.abs(result.visits / result.steps - 1 / 3).max() < 0.01
    nobody = Walker(graph).walk_indices([0], params=params, bias=(6, 6), seed=1)
    assert nobody.pins.size == 6


@pytest.mark.parametrize("links", ["no", "yes"])
@pytest.mark.parametrize("bias", [0.1, 0.6, 1.0])
def test_personalised_walks_follow_the_biased_restart_walk(graph: Graph, bias: float, links: Wanted) -> None:
    start = 200
    end = 240  # many boards hold none of these pins: their steps take any pin
    adjacency = np.zeros((N_BOARDS, N_PINS))
    adjacency[np.repeat(np.arange(N_BOARDS), graph.board_degree), graph.board_pins] = 1.0
    inside = adjacency * ((np.arange(N_PINS) >= start) & (np.arange(N_PINS) < end))
    anyone = adjacency / np.maximum(adjacency.sum(1, keepdims=True), 1)
    matching = np.where(inside.sum(1, keepdims=True) > 0, inside / np.maximum(inside.sum(1, keepdims=True), 1), anyone)
    assert 0.2 < (inside.sum(1) > 0).mean() < 0.8
    step = (adjacency.T / np.maximum(adjacency.sum(0)[:, None], 1)) @ (bias * matching + (1 - bias) * anyone)
    mass = one_hot(7)
    exact = np.zeros(N_PINS)
    for level in range(40):
        mass = mass @ step
        exact += 0.5 * 0.5**level * mass
    walker = Walker(graph.linked(links))
    long = WalkParams(steps=400_000, top_k=N_PINS, drop_query=False, bias_share=bias)
    assert variation(share(walker.walk_indices([7], params=long, bias=(start, end), seed=1)), exact) < 0.012
    few = WalkParams(steps=300, top_k=N_PINS, drop_query=False, bias_share=bias)
    means = np.mean([share(walker.walk_indices([7], params=few, bias=(start, end), seed=s)) for s in range(1500)], 0)
    assert variation(means, exact) < 0.02, "short requests: groups round at random"
