"""The exact index against a product with every vector."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.content.index import VectorIndex


def nearest(vectors: np.ndarray, query: np.ndarray, k: int, may: np.ndarray | None = None) -> np.ndarray:
    """The slow way: rows of the k largest inner products."""
    products = np.asarray(vectors, np.float32) @ query.astype(np.float32)
    rows = np.arange(len(vectors)) if may is None else np.flatnonzero(may)
    return rows[np.argsort(-products[rows], kind="stable")[:k]]


def clustered(n: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around twenty centres, of very different lengths; and a query."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, width))
    vectors = centres[rng.integers(0, 20, n)] + 0.5 * rng.standard_normal((n, width))
    vectors *= rng.lognormal(0, 1, (n, 1))
    return vectors.astype(np.float32), centres[3].astype(np.float32)


@pytest.mark.parametrize("width", [1, 7, 64, 65, 200])
@pytest.mark.parametrize("share", [None, 1.0, 0.9, 0.3, 0.01])
def test_it_finds_what_a_product_with_all_finds(width: int, share: float | None) -> None:
    vectors, query = clustered(20_000, width)
    may = None if share is None else np.random.default_rng(1).random(len(vectors)) < share
    index = VectorIndex(vectors)
    rows, products = index.top(query, 100, may)
    wanted = nearest(vectors, query, 100, may)
    assert np.isin(wanted, rows).mean() >= 0.99
    np.testing.assert_allclose(products, vectors[rows] @ query, rtol=1e-5)
    assert (np.diff(products) <= 0).all()
    if may is not None:
        assert may[rows].all()
        listed, again = index.top(query, 100, np.flatnonzero(may).astype(np.int32))
        np.testing.assert_array_equal(listed, rows)
        np.testing.assert_array_equal(again, products)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(1, 70), st.integers(0, 50), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_as_many_as_may_be_shown_and_no_other(n: int, width: int, k: int, share: float, seed: int) -> None:
    """Small numbers of few values: many products are equal, and whole ones are exact."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, (n, width)).astype(np.float16)
    query = rng.integers(-3, 4, width).astype(np.float32)
    may = rng.random(n) < share
    rows, products = VectorIndex(vectors).top(query, k, may)
    assert len(rows) == min(k, may.sum()) == len(set(rows.tolist()))
    assert may[rows].all()
    wanted = nearest(vectors, query, k, may)
    np.testing.assert_array_equal(products, np.asarray(vectors[wanted], np.float32) @ query)


def test_equal_products_come_in_the_order_of_rows() -> None:
    rows, _ = VectorIndex(np.ones((50, 3), np.float32)).top(np.ones(3, np.float32), 12)
    assert rows.tolist() == list(range(12))


def test_short_vectors_keep_their_digits() -> None:
    """A long row beside them takes nothing from the others; with one scale for all they would be zeros."""
    vectors, query = clustered(5_000, 32)
    vectors[0] = -1e6 * query
    rows, _ = VectorIndex(vectors).top(query, 50)
    np.testing.assert_array_equal(rows, nearest(vectors, query, 50))


def test_rows_in_rising_order_are_no_worse() -> None:
    """Each next row beats the bar."""
    vectors = np.linspace(0, 1, 10_000, dtype=np.float32)[:, None]
    rows, _ = VectorIndex(vectors).top(np.ones(1, np.float32), 10)
    np.testing.assert_array_equal(np.sort(rows), np.arange(9_990, 10_000))


def test_a_query_of_zeros_is_answered() -> None:
    vectors, _ = clustered(100, 4)
    rows, products = VectorIndex(vectors).top(np.zeros(4, np.float32), 5)
    assert len(rows) == 5
    assert not products.any()
