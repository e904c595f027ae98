"""Each measure of likeness gives what its definition says, for any saves; blocks of pins give the rows of the whole."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.graph.csr import Graph
from cluster.settings.similarity import SimilaritySettings
from cluster.similarity import build
from cluster.similarity.cosine import cosine_rows
from cluster.similarity.follows import DECAY, followed
from cluster.similarity.linear import exact_weights, near_weights
from cluster.similarity.neighbours import Neighbours
from cluster.similarity.saves import Saves
from cluster.similarity.steps import step_rows
from cluster.similarity.tables import Similarity
from tests.unit.cluster.similarity import reference

SIZES = {"seed": st.integers(0, 10_000), "boards": st.integers(1, 12), "pins": st.integers(1, 9)}


def saves_of(x: np.ndarray) -> Saves:
    return Saves(sp.csr_array(x.astype(np.float32)))


def dense(table: Neighbours, width: int) -> np.ndarray:
    out = np.zeros((len(table), width))
    for h, row in enumerate(table.row_of(np.arange(len(table)))):
        if row < 0:
            continue
        for pin, weight in zip(table.ids[row], table.weights[row], strict=True):
            if pin >= 0:
                out[h, pin] += weight
    return out


@settings(max_examples=60, deadline=None)
@given(**SIZES, shrinkage=st.sampled_from([0.0, 3.0]))
def test_cosine_with_shrinkage(seed: int, boards: int, pins: int, shrinkage: float) -> None:
    x = reference.random_saves(seed, boards, pins)
    got = dense(cosine_rows(saves_of(x), np.arange(pins), pins, shrinkage), pins)
    np.testing.assert_allclose(got, reference.cosine(x, shrinkage), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(**SIZES, beta=st.sampled_from([0.0, 0.5]))
def test_walks_of_two_steps(seed: int, boards: int, pins: int, beta: float) -> None:
    x = reference.random_saves(seed, boards, pins)
    got = dense(step_rows(saves_of(x), np.arange(pins), pins, beta), pins)
    np.testing.assert_allclose(got, reference.steps(x, beta), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(**SIZES)
def test_linear_weights_whichever_side_is_inverted(seed: int, boards: int, pins: int) -> None:
    x = reference.random_saves(seed, boards, pins)
    np.testing.assert_allclose(exact_weights(saves_of(x), 2.0), reference.linear(x, 2.0), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(**SIZES)
def test_weights_in_a_neighbourhood_of_all_pins_are_the_exact_ones(seed: int, boards: int, pins: int) -> None:
    x = reference.random_saves(seed, boards, pins)
    everyone = np.array([[other for other in range(pins) if other != pin] for pin in range(pins)], np.int32)
    near = Neighbours(everyone.reshape(pins, pins - 1), np.ones((pins, pins - 1), np.float32))
    got = near_weights(saves_of(x), np.arange(pins), near, 2.0).toarray().T
    np.testing.assert_allclose(got, reference.linear(x, 2.0), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(sequences=st.lists(st.lists(st.integers(0, 6), max_size=9), min_size=1, max_size=5), window=st.integers(1, 4))
def test_what_follows_within_a_window(sequences: list[list[int]], window: int) -> None:
    newest_first = np.array([pin for sequence in sequences for pin in sequence[::-1]], np.int32)
    offsets = np.append(0, np.cumsum([len(sequence) for sequence in sequences]))
    got = followed(offsets, newest_first, 7, window).toarray()
    np.testing.assert_allclose(got, reference.followed(sequences, 7, window, DECAY), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 6))
def test_the_strongest_of_each_row_are_kept_whatever_their_sign(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    rows = np.where(rng.random((5, 8)) < 0.6, rng.normal(size=(5, 8)), 0.0).astype(np.float32)
    for given_rows in (rows, sp.csr_array(rows)):
        table = Neighbours.strongest(given_rows, k)
        for row in range(5):
            kept = table.ids[row][table.ids[row] >= 0]
            size = np.abs(rows[row])
            assert len(kept) == min(k, int((size > 0).sum()))
            assert size[kept].tolist() == sorted(size[size > 0], reverse=True)[: len(kept)]
            assert table.weights[row][: len(kept)].tolist() == rows[row][kept].tolist()


@pytest.mark.parametrize("exact_pins", [0, 1000])
def test_blocks_give_the_rows_of_the_whole(monkeypatch: pytest.MonkeyPatch, exact_pins: int) -> None:
    x = reference.random_saves(5, 30, 23)
    boards, pins = np.nonzero(x)
    graph = Graph.from_edges(boards, pins, 30, 23)
    past = SimpleNamespace(offsets=np.array([0, 3, 3, 9]), pins=np.arange(9, dtype=np.int32) % 5)
    plan = SimilaritySettings(neighbours=7, exact_pins=exact_pins)
    whole = build.measure(graph, past, plan)
    monkeypatch.setattr(build, "BLOCK_PINS", 4)
    in_blocks = build.measure(graph, past, plan)
    for name in ("linear", "cosine", "steps", "follows"):
        one, other = getattr(whole, name), getattr(in_blocks, name)
        assert len(one) == 23
        assert one.ids.shape[1] == 7
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(**SIZES, exact_pins=st.sampled_from([0, 1000]), cold=st.integers(1, 8))
def test_pins_without_an_edge_change_no_other_row(
    tmp_path_factory: pytest.TempPathFactory, seed: int, boards: int, pins: int, exact_pins: int, cold: int
) -> None:
    x = reference.random_saves(seed, boards, pins)
    x[0, 0] = 1.0
    at = np.sort(np.random.default_rng(seed).permutation(pins + cold)[:pins])  # the others are on no board
    of, columns = np.nonzero(x)
    past = SimpleNamespace(offsets=np.array([0, 5]), pins=np.arange(5, dtype=np.int32) % pins)
    colder = SimpleNamespace(offsets=past.offsets, pins=at[past.pins].astype(np.int32))
    plan = SimilaritySettings(neighbours=4, exact_pins=exact_pins)
    without = build.measure(Graph.from_edges(of, columns, boards, pins), past, plan)
    found = build.measure(Graph.from_edges(of, at[columns], boards, pins + cold), colder, plan)
    folder = tmp_path_factory.mktemp("similar")
    found.save(folder)
    for table in (found, Similarity.open(folder, pins + cold)):
        for name in ("linear", "cosine", "steps", "follows"):
            expected = np.zeros((pins + cold, pins + cold))
            expected[np.ix_(at, at)] = dense(getattr(without, name), pins)
            np.testing.assert_array_equal(dense(getattr(table, name), pins + cold), expected)
    for name in ("linear", "cosine", "steps"):
        assert len(getattr(found, name).ids) <= pins  # no row is kept for a cold pin


def test_nothing_is_measured_when_nothing_is_asked_and_no_past_follows() -> None:
    graph = Graph.from_edges([0, 0, 1], [0, 1, 1], 2, 2)
    assert build.measure(graph, None, SimilaritySettings(neighbours=0)).cosine is None
    found = build.measure(graph, None, SimilaritySettings())
    assert found.follows is None
    assert found.cosine is not None


def test_boards_beyond_a_size_say_nothing() -> None:
    x = reference.random_saves(1, 10, 8)
    boards, pins = np.nonzero(x)
    graph = Graph.from_edges(boards, pins, 10, 8)
    most = int(np.median(x.sum(axis=1)))
    kept = Saves.of(graph, most).by_board.toarray()
    np.testing.assert_array_equal(kept, x[x.sum(axis=1) <= most])
