"""Id maps: both types round trip, unknown ids, files, errors."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cluster.errors import BundleError, DataError
from cluster.graph.ids import IdMap

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(INT64, unique=True, max_size=40), st.lists(INT64, max_size=10))
def test_int64_ids_go_both_ways(ids: list[int], others: list[int]) -> None:
    ids_map = IdMap.from_ids(np.array(ids, np.int64))
    index = {value: at for at, value in enumerate(ids)}
    assert ids_map.index_of(np.array(ids + others, np.int64)).tolist() == [index.get(v, -1) for v in ids + others]
    assert ids_map.ids_of(np.arange(len(ids))).tolist() == ids


@example(ids=["\x00", ""], others=["\x00\x00"])
@settings(max_examples=60, deadline=None)
@given(ids=st.lists(TEXT, unique=True, min_size=1, max_size=40), others=st.lists(TEXT, max_size=10))
def test_string_ids_go_both_ways(ids: list[str], others: list[str]) -> None:
    ids_map = IdMap.from_ids(ids)
    index = {value: at for at, value in enumerate(ids)}
    assert ids_map.index_of(ids + others).tolist() == [index.get(v, -1) for v in ids + others]
    assert ids_map.ids_of(np.arange(len(ids))).tolist() == ids


@pytest.mark.parametrize("ids", [[3, 1, 2], [1, 2, 3], ["b", "é", "", "a" * 300], []])
def test_saved_maps_read_back(tmp_path: Path, ids: list) -> None:
    IdMap.from_ids(ids).save(tmp_path, "pins")
    again = IdMap.open(tmp_path, "pins")
    assert len(again) == len(ids)
    assert again.index_of(ids).tolist() == list(range(len(ids)))
    assert again.ids_of(range(len(ids))).tolist() == ids


def test_arrow_columns_and_slices_are_ids_too() -> None:
    assert IdMap.from_ids(pa.array(["x", "y", "z"])[1:]).index_of(pa.chunked_array([["z"], ["x", "y"]])).tolist() == [
        1,
        -1,
        0,
    ]
    assert IdMap.from_ids(pa.array([7, 5], pa.int32())).index_of(pa.array([5, 6])).tolist() == [1, -1]


def test_ids_of_the_other_type_are_unknown() -> None:
    assert IdMap.from_ids([1, 2]).index_of(["1", "2"]).tolist() == [-1, -1]
    assert IdMap.from_ids(["1", "2"]).index_of([1, 2]).tolist() == [-1, -1]


@pytest.mark.parametrize("ids", [[1, 2, 1], ["a", "b", "a"]])
def test_repeated_ids_are_refused(ids: list) -> None:
    with pytest.raises(DataError, match="repeat"):
        IdMap.from_ids(ids)


def test_null_and_mixed_ids_are_refused() -> None:
    with pytest.raises(DataError, match="null"):
        IdMap.from_ids(pa.array(["a", None]))
    with pytest.raises(DataError, match="all int64 or all strings"):
        IdMap.from_ids([1, "a", object()])


def test_index_outside_the_map_raises() -> None:
    with pytest.raises(IndexError):
        IdMap.from_ids([1, 2]).ids_of([2])
    with pytest.raises(IndexError):
        IdMap.from_ids([1, 2]).ids_of([-1])


def test_missing_and_damaged_files_are_bundle_errors(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="build the graph again"):
        IdMap.open(tmp_path, "pins")
    IdMap.from_ids([3, 1]).save(tmp_path, "pins")
    np.save(tmp_path / "pins.order.npy", np.zeros(5, np.int32))
    with pytest.raises(BundleError, match="damaged"):
        IdMap.open(tmp_path, "pins")


def test_integers_in_an_object_array_are_integers() -> None:
    """Ids that travel beside text come as objects; they were unknown to every map of int64 ids."""
    numbers = IdMap.from_ids([7, 5, 9])
    assert numbers.index_of(np.array([9, 5, 4], object)).tolist() == [2, 1, -1]
    assert numbers.index_of(np.array(["9", "5"], object)).tolist() == [-1, -1]
    assert IdMap.from_ids(["9", "5"]).index_of(np.array([9, 5], object)).tolist() == [-1, -1]
