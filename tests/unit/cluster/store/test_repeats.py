"""Ids that occur more than once are found whatever part of the hashes is in memory at a time."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cluster.hashing import hash_ids
from cluster.store.repeats import suspects


@given(st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=8), max_size=6), st.integers(1, 9))
def test_the_hashes_of_repeated_ids_and_no_others(files: list[list[str]], at_once: int) -> None:
    rows = sum(map(len, files))
    again = [name for name, n in Counter(i for ids in files for i in ids).items() if n > 1]
    found = suspects(lambda: (pa.array(ids, pa.string()) for ids in files), rows, at_once)
    np.testing.assert_array_equal(found, np.sort(hash_ids(pa.array(again, pa.string()))))
