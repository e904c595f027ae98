"""Rests follow the pieces of a work, and end where the time for them does."""

from serving.logs.spread import Spread


def test_rests_are_in_proportion_and_bounded() -> None:
    now = 0.0
    rests: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        rests.append(seconds)
        now += seconds

    spread = Spread(1.0, lambda: now, sleep)
    for took in (0.1, 0.25, 0.2, 0.3):
        now += took
        spread()
    assert [round(rest, 6) for rest in rests] == [0.2, 0.5, 0.3]  # the fourth finds no time left
