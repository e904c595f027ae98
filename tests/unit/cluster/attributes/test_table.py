"""Attributes stored, mapped and asked: every kind, missing values, damage, and the masks that are kept."""

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.attributes.cache import MaskCache
from cluster.attributes.filters import (
    Between,
    Conjunction,
    Disjunction,
    Filter,
    HasValue,
    Negation,
    NumberAmong,
    TextAmong,
)
from cluster.attributes.table import AttributeTable
from cluster.data.schema import TIMESTAMP
from cluster.errors import BundleError
from cluster.settings.attributes import AttributeKind

KINDS: dict[str, AttributeKind] = {"price": "number", "brand": "category", "tags": "list", "ends": "time"}
PINS = pa.table(
    {
        "price": pa.array([5.0, 19.99, None, 7.0, 1e300]),
        "brand": pa.array(["ä", "b", None, "ä", ""]),
        "tags": pa.array([["x", "y", "x"], [], None, ["y", None], ["z"]], pa.list_(pa.string())),
        "ends": pa.array([0, 10**15, None, 1, 2]).cast(TIMESTAMP),
    }
)
ROWS = np.array([3, -1, 1, 0, 2])
"""Graph pin -> row: pin 1 is not in the input, row 4 not in the graph."""


@pytest.fixture
def table(tmp_path: Path) -> AttributeTable:
    AttributeTable.of(KINDS, PINS, ROWS).save(tmp_path / "attributes")
    return AttributeTable.open(tmp_path / "attributes", len(ROWS))


@pytest.mark.parametrize(
    ("asked", "pins"),
    [
        (Between("price", high=7.0), [0, 3]),
        (Between("price", high=7.0, below=True), [3]),
        (Between("price", low=7.0, above=True), [2]),
        (Between("price", 5.0, 19.99), [0, 2, 3]),
        (Between("price", 8.0, 6.0), []),
        (NumberAmong("price", (5.0, 19.99, 4.0)), [2, 3]),
        (NumberAmong("ends", (1e15,)), [2]),
        (Between("ends", high=1.0, below=True), [3]),
        (TextAmong("brand", ("ä", "nobody's")), [0, 3]),
        (TextAmong("brand", ("",)), []),
        (TextAmong("tags", ("y",)), [0, 3]),
        (TextAmong("tags", ("x", "z")), [3]),
        (HasValue("price"), [0, 2, 3]),
        (HasValue("tags"), [0, 3]),
        (Negation(TextAmong("brand", ("ä",))), [1, 2, 4]),
        (Negation(Between("price", high=7.0)), [1, 2, 4]),
        (Conjunction((TextAmong("brand", ("ä",)), Between("price", low=6.0), HasValue("tags"))), [0]),
        (Disjunction((TextAmong("brand", ("b",)), Between("price", low=6.0))), [0, 2]),
    ],
)
def test_a_filter_matches_these_pins(table: AttributeTable, asked: Filter, pins: list[int]) -> None:
    mask = table.matching(asked)
    assert np.flatnonzero(mask).tolist() == pins
    assert mask.dtype == bool
    assert mask.shape == (5,)


def test_without_a_pins_input_no_pin_has_a_value() -> None:
    table = AttributeTable.of(KINDS, None, np.full(3, -1))
    assert not any(table.matching(HasValue(name)).any() for name in KINDS)
    assert not table.matching(TextAmong("brand", ("b",))).any()


@pytest.mark.parametrize("asked", [HasValue("colour"), TextAmong("price", ("5",)), Between("brand", high=1.0)])
def test_what_the_graph_was_built_without_asks_for_a_build(table: AttributeTable, asked: Filter) -> None:
    with pytest.raises(BundleError, match=r"has no attribute .* build the graph again"):
        table.matching(asked)


def test_a_bundle_from_before_opens_and_has_no_attribute(tmp_path: Path) -> None:
    table = AttributeTable.open(tmp_path / "attributes", 5)
    with pytest.raises(BundleError, match="build the graph again"):
        table.matching(HasValue("created_at"))


@pytest.mark.parametrize("file", ["0.values.npy", "2.pins.npy"])
def test_files_of_other_lengths_are_refused(tmp_path: Path, file: str) -> None:
    AttributeTable.of(KINDS, PINS, ROWS).save(tmp_path)
    np.save(tmp_path / file, np.load(tmp_path / file)[:-1])
    with pytest.raises(BundleError, match="build the graph again"):
        AttributeTable.open(tmp_path, len(ROWS))


def test_a_mask_is_worked_out_once_and_cannot_be_written(table: AttributeTable) -> None:
    first = table.matching(TextAmong("brand", ("b",)))
    assert table.matching(TextAmong("brand", ("b",))) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = True


def test_the_cache_lets_the_oldest_go() -> None:
    cache = MaskCache(most_bytes=10)
    made: list[str] = []

    def ask(name: str) -> None:
        def work_out() -> np.ndarray:
            made.append(name)
            return np.ones(4, bool)

        cache.get(HasValue(name), work_out)

    for name in ("a", "b", "a", "c", "a", "b"):
        ask(name)
    assert made == ["a", "b", "c", "b"]


def test_a_mask_larger_than_the_cache_is_kept_alone() -> None:
    cache = MaskCache(most_bytes=1)
    first = cache.get(HasValue("a"), lambda: np.ones(9, bool))
    assert cache.get(HasValue("a"), lambda: np.zeros(9, bool)) is first


def test_threads_that_ask_at_once_get_equal_masks(table: AttributeTable) -> None:
    asked: list[Filter] = [NumberAmong("price", (float(price),)) for price in range(40)]
    expected = [AttributeTable.of(KINDS, PINS, ROWS).matching(one) for one in asked]
    wrong: list[Filter] = []

    def work() -> None:
        for one, mask in zip(asked, expected, strict=True):
            if not np.array_equal(table.matching(one), mask):
                wrong.append(one)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
