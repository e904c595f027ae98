"""Ids behind those of a map: the same answers as one map of all of them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.graph.ids import IdMap
from cluster.graph.ids_appended import AppendedIds
from tests.worlds.inputs import ids_of


@pytest.mark.parametrize("kind", ["int64", "string"])
@settings(max_examples=50, deadline=None)
@given(numbers=st.lists(st.integers(-50, 50), unique=True, max_size=30), cut=st.integers(0, 30))
def test_as_one_map_of_all(kind: str, numbers: list[int], cut: int) -> None:
    ids: pa.Array = ids_of(numbers, kind)
    cut = min(cut, len(numbers))
    two = AppendedIds(IdMap.from_ids(ids[:cut]), ids[cut:])
    one = IdMap.from_ids(ids)
    assert len(two) == len(one)
    asked = ids_of(range(-60, 60), kind)
    np.testing.assert_array_equal(two.index_of(asked), one.index_of(asked))
    every = np.random.default_rng(0).permutation(len(numbers))
    assert two.ids_of(every).tolist() == one.ids_of(every).tolist()
    two.check("ids")
    with pytest.raises(IndexError):
        two.ids_of([len(numbers)])
