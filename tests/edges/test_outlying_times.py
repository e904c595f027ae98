"""Single times far from all others: `pin_recent_share` does not hang on them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.catalog.build import Tables, build_catalog_in_memory
from cluster.data.schema import TIMESTAMP
from cluster.features.assemble import FeatureSet
from cluster.graph.span import BUCKETS, Span
from cluster.settings.project import DataSettings, Project, Source
from tests.worlds.fuzz import examples

DAY_US = 86_400 * 10**6
TODAY = 1_760_000_000 * 10**6


def span_of(times: list[int] | np.ndarray) -> Span:
    return Span.of(pa.chunked_array([pa.array(np.asarray(times, np.int64)).cast(TIMESTAMP)]))


def recent_shares(folder: Path, times: np.ndarray) -> np.ndarray:
    """`pin_recent_share` of a graph with one edge a time, dealt out evenly over ten pins."""
    at = np.arange(len(times))
    edges = pa.table({"board_id": at, "pin_id": at % 10, "saved_at": pa.array(times).cast(TIMESTAMP)})
    project = Project(home=str(folder), data=DataSettings(edges=Source(path="edges")))
    catalog = build_catalog_in_memory(Tables(edges), project, folder)
    return np.asarray(catalog.pins.static[:, FeatureSet.of(project.features).pin.index("pin_recent_share")])


@pytest.mark.parametrize(
    "outlier",
    [
        0,  # 1970-01-01
        TODAY - 400 * DAY_US,  # a year before
        TODAY - 10 * 365 * DAY_US,
        TODAY + 40 * DAY_US,  # later than all others, and not in the future
    ],
)
@pytest.mark.parametrize("rows", [100, 1000, 20_000])
def test_one_outlier_does_not_move_recent_shares(tmp_path: Path, outlier: int, rows: int) -> None:
    times = TODAY - 30 * DAY_US + np.arange(rows, dtype=np.int64) * (30 * DAY_US // rows)
    clean, poisoned = tmp_path / "clean", tmp_path / "poisoned"
    expected = recent_shares(clean, times)
    found = recent_shares(poisoned, np.append(times, outlier))
    assert expected == pytest.approx(np.full(10, 0.1), abs=0.02)
    assert found[1:] == pytest.approx(expected[1:], abs=0.02)  # the outlier itself is an edge of pin 0


def test_an_outlier_on_either_side_changes_nothing() -> None:
    times = TODAY + np.arange(500) * DAY_US
    both = [0, *times.tolist(), TODAY + 40 * 365 * DAY_US]
    assert span_of(both).recent_from == span_of(times).recent_from
    assert (span_of(both).oldest, span_of(both).newest) == (times[0], times[-1])


def test_without_outliers_time_begins_and_ends_with_the_data() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 19, 100, 3000, 200_000):
        times = TODAY + rng.integers(0, 365 * DAY_US, n)
        assert (span_of(times).oldest, span_of(times).newest) == (times.min(), times.max())
    assert span_of([100, 0]).recent_from == 90
    assert span_of([5] * 1000).recent_from == 5
    assert span_of([]) == Span()
    assert Span().recent_from is None


@settings(deadline=None, max_examples=examples(60))
@pytest.mark.fuzz
@given(st.integers(0, 2**32), st.integers(1, 4 * BUCKETS), st.integers(1, 50), st.integers(1, 8))
def test_a_span_is_the_same_however_its_values_are_cut(seed: int, n: int, width: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    times = TODAY + rng.integers(0, 2**width, n)
    if n > 2:
        times[0] = 0
    whole, joined = span_of(times), Span()
    for part in np.array_split(rng.permutation(times), parts):
        joined = joined.union(span_of(part))
    assert joined == whole
    assert len(whole.buckets) <= BUCKETS
    assert sum(whole.counts) == n
    assert Span.from_dict(whole.to_dict()) == whole
