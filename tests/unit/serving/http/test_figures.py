"""What an ingress counts of its last hour."""

from typing import Any, cast

import pytest

from serving.http.figures import KEPT, MINUTES, Both, Figures
from serving.request.answer import Answer


class Clock:
    """Stands still."""

    def __init__(self) -> None:
        self.now = 6000.0

    def __call__(self) -> float:
        return self.now


def answer(client: str = "feed", faults: tuple[str, ...] = (), **removed: int) -> Answer:
    ask: Any = type("Ask", (), {"client": client})
    nothing = cast(Any, None)
    return Answer(ask, nothing, nothing, nothing, faults=list(faults), removed=removed)


def test_an_hour_is_counted_and_older_is_forgotten() -> None:
    clock = Clock()
    figures = Figures(clock)
    figures.answered(answer(), 5.0)
    clock.now += 60
    figures.answered(answer(faults=("walk: late",), hidden=3), 7.0)
    figures.answered(answer("home"), 9.0)
    assert figures.total("answers") == {("feed",): 2, ("home",): 1}
    assert figures.total("degraded") == {("feed",): 1}
    assert figures.total("removed") == {("feed", "hidden"): 3}
    assert figures.by_minute("answers", "feed")[-3:] == [0, 1, 1]
    clock.now += (MINUTES - 1) * 60
    assert figures.total("answers") == {("feed",): 1, ("home",): 1}
    clock.now += 60
    assert figures.total("answers") == {}
    assert figures.by_minute("answers", "feed") == [0] * MINUTES
    assert figures.seconds == MINUTES * 60


def test_times_are_quantiles_of_the_newest() -> None:
    figures = Figures(Clock())
    for value in range(2 * KEPT):
        figures.stage_ended("feed", "walk", "done", float(value))
    figures.stage_ended("feed", "walk", "late", 1e9)
    taken = figures.times()["feed", "walk"]
    assert taken.n == KEPT
    assert taken.p50 == pytest.approx(1.5 * KEPT, abs=1)
    assert taken.p50 < taken.p95 < taken.p99 < 2 * KEPT
    assert figures.total("fallbacks") == {("feed", "walk", "late"): 1}


def test_both_tell_both() -> None:
    one, other = Figures(Clock()), Figures(Clock())
    both = Both(one, other)
    both.answered(answer(), 1.0)
    both.stage_ended("feed", "walk", "failed", 1.0)
    both.noted("feed", "full", "partial")
    both.refused("full")
    both.events("stored", 4)
    both.log_dropped("feed")
    for each in (one, other):
        assert each.total("answers") == {("feed",): 1}
        assert each.total("fallbacks") == {("feed", "walk", "failed"): 1, ("feed", "full", "partial"): 1}
        assert each.total("refused") == {("full",): 1}
        assert each.total("events") == {("stored",): 4}
        assert each.total("dropped") == {("feed",): 1}
