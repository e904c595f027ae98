"""The compiled loops over candidates times query pins against the same in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.features.likeness import likeness, strongest, unit_rows


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 6), st.integers(0, 35), st.booleans(), st.integers(0, 2**32 - 1))
def test_cosines_are_those_of_numpy(n: int, queries: int, width: int, known: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content, asked, recent = (unit_rows(rng.normal(size=(k, width)).astype(np.float32)) for k in (n, queries, 3))
    weight = rng.random(queries).astype(np.float32)
    mean, nearest, history = likeness(content, asked, weight, recent if known else None)
    if queries:
        expected = content @ unit_rows((weight[:, None] * asked).sum(axis=0))
        assert np.allclose(mean, expected, atol=1e-5)
        assert np.allclose(nearest, (content @ asked.T).max(axis=1, initial=-9), atol=1e-5)
    else:
        assert np.isnan(mean).all()
        assert np.isnan(nearest).all()
    if known:
        assert np.allclose(history, content @ unit_rows(recent.mean(axis=0)), atol=1e-5)
    else:
        assert np.isnan(history).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_strongest_query_is_the_first_of_the_largest(n: int, queries: int, seed: int) -> None:
    visits = np.random.default_rng(seed).integers(0, 4, (n, queries)).astype(np.uint32)
    best, share = strongest(visits)
    assert np.array_equal(best, visits.argmax(axis=1))
    assert share == pytest.approx(visits.max(axis=1) / np.maximum(visits.sum(axis=1), 1))


def test_without_query_pins_there_is_no_share() -> None:
    best, share = strongest(np.zeros((3, 0), np.uint32))
    assert best.tolist() == [0, 0, 0]
    assert np.isnan(share).all()


def test_arrays_of_a_mapped_file_or_another_process_will_do() -> None:
    content = unit_rows(np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32))
    locked, strided = content.copy(), np.repeat(content, 2, axis=1)[:, ::2]
    locked.flags.writeable = False
    weight = np.ones(4, np.float32)
    for other in (locked, strided):
        assert np.array_equal(likeness(other, other, weight, other), likeness(content, content, weight, content))
