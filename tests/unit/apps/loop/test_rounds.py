"""Reports outlive the process, and the schedule follows from them alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.loop.rounds import RoundReport, Rounds, StepReport, due, taken
from cluster.settings.loop import LoopSettings

MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)
SETTINGS = LoopSettings(every_hours=24, retry_minutes=30)


def a_round(worked: bool, at: datetime = MIDNIGHT, minutes: float = 60.0) -> RoundReport:
    step = StepReport("train full", 0 if worked else 1, 3.0, ("a line", "error: no events"))
    return RoundReport(at.isoformat(), (step,), (at + timedelta(minutes=minutes)).isoformat())


def test_what_is_written_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path / "loop")
    assert rounds.read() == []
    later, earlier = a_round(True, MIDNIGHT + timedelta(days=1)), a_round(False)
    rounds.write(later)
    rounds.write(RoundReport(earlier.began))
    rounds.write(earlier)
    assert rounds.read() == [earlier, later]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"began": 3}', b"\xff"])
def test_a_damaged_report_hides_no_other(tmp_path: Path, damage: bytes) -> None:
    rounds = Rounds(tmp_path)
    rounds.write(a_round(True))
    (tmp_path / "2026-01-30T000000Z.json").write_bytes(damage)
    assert rounds.read() == [a_round(True)]


def test_the_first_and_a_killed_round_are_due_at_once() -> None:
    assert due([], SETTINGS) < MIDNIGHT
    assert due([a_round(True), RoundReport(MIDNIGHT.isoformat())], SETTINGS) < MIDNIGHT


def test_a_round_follows_the_one_before_after_a_day_from_its_beginning() -> None:
    assert due([a_round(False), a_round(True)], SETTINGS) == MIDNIGHT + timedelta(hours=24)


@given(st.integers(1, 40))
def test_failures_are_tried_again_later_and_later_but_never_later_than_usual(failures: int) -> None:
    at = due([a_round(True), *[a_round(False)] * failures], SETTINGS)
    wait = at - (MIDNIGHT + timedelta(hours=1))
    assert wait == timedelta(minutes=min(30 * 2 ** (failures - 1), 23 * 60))


def test_only_what_was_added_counts_as_taken() -> None:
    added = StepReport("add-edges", 0, 1.0, added="a.parquet")
    failed = StepReport("add-edges", 1, 1.0)
    assert taken([RoundReport("t", (added, failed)), RoundReport("u")]) == {"a.parquet"}


def test_a_report_says_in_a_line_what_failed_and_why() -> None:
    assert a_round(False).text().endswith("`pinfunnel train full`: a line error: no events")
    assert "all 1 steps done" in a_round(True).text()
    assert "killed half way" in RoundReport("t").text()
