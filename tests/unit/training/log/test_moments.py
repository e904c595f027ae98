"""Times in buckets: exact while they are few, and beyond that cuts that any process parts requests by alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worlds.plain_log import plain_folds, plain_split
from training.lightweight.splits import inside
from training.log.moments import Moments
from training.log.tasks import LogWindow

TIMES = st.lists(st.integers(-50, 2**40), min_size=1, max_size=80)


def at(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.int64).astype("datetime64[us]")


@given(TIMES, st.floats(0, 1), st.integers(2, 6))
def test_while_they_are_few_cuts_are_those_of_the_sorted_times(numbers: list[int], share: float, folds: int) -> None:
    times, moments = at(numbers), Moments.of(at(numbers))
    assert len(moments) == len(times)
    assert moments.split(share) == plain_split(times, share)
    assert moments.folds(folds) == plain_folds(times, folds)
    assert moments.last.max() == times.max()
    for window in plain_folds(times, folds):
        mine, rest = times[inside(window, times)], times[~inside(window, times)]
        assert len(moments.inside(window)) == len(mine)
        if len(rest):
            assert moments.without([window]).split(share) == plain_split(rest, share)


@given(TIMES, st.integers(2, 12), st.floats(0, 1))
def test_in_few_buckets_a_cut_counts_exactly_and_its_share_is_off_by_a_bucket_at_most(
    numbers: list[int], most: int, share: float
) -> None:
    times, moments = at(numbers), Moments.of(at(numbers), most)
    assert len(moments.first) <= most
    assert len(moments) == len(times)
    cut = moments.split(share)
    assert cut in times
    window = LogWindow(since=cut)
    assert len(moments.inside(window)) == inside(window, times).sum()
    missed = abs(inside(window, times).sum() - inside(LogWindow(since=plain_split(times, share)), times).sum())
    assert missed < moments.count.max()


@given(TIMES, st.integers(2, 12), st.integers(1, 5), st.randoms())
def test_merged_in_any_order_they_give_the_buckets_of_all_at_once(
    numbers: list[int], most: int, parts: int, random: object
) -> None:
    pieces = [Moments.of(piece, most) for piece in np.array_split(at(numbers), parts)]
    random.shuffle(pieces)  # type: ignore[attr-defined]
    merged, whole = Moments.merged(pieces, most), Moments.of(at(numbers), most)
    for name in ("first", "last", "count"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
    assert merged.width == whole.width


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_the_split_is_strict_in_time(share: float) -> None:
    times = np.datetime64("2026-01-01", "us") + np.random.default_rng(0).permutation(200).astype("timedelta64[s]")
    cut = Moments.of(times).split(share)
    assert (times >= cut).sum() == round(200 * share)
    assert times[times < cut].max() < times[times >= cut].min()


def test_requests_of_the_same_moment_stay_together() -> None:
    times = np.array(["2026-01-01", "2026-01-02", "2026-01-02", "2026-01-02"], "datetime64[us]")
    assert (times >= Moments.of(times).split(0.25)).tolist() == [False, True, True, True]


def test_without_any_there_is_one_fold_and_a_cut_before_everything() -> None:
    assert Moments().folds(3) == (LogWindow(),)
    assert Moments().split(0.2) == np.datetime64("1970-01-01T00:00:00", "us")
