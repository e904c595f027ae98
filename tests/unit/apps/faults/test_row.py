"""A fault's figures: what counts as an error, as lost, as normal again, and what makes a row broken."""

from apps.faults.load import Sent
from apps.faults.row import FaultRow, count_lost, fill


def row_of(*sent: Sent, there: float | None = 100.0) -> FaultRow:
    row = FaultRow("fault", "about")
    fill(row, sent, made=100.0, there=there)
    return row


def test_requests_are_counted_as_what_became_of_them() -> None:
    row = row_of(
        Sent("recommendations", 100.0, 100.2, "200"),
        Sent("recommendations", 101.0, 101.4, "200", degraded="walk: late", apart=1),
        Sent("recommendations", 102.0, 102.1, "503"),
        Sent("events", 103.0, 103.1, "503"),
        Sent("events", 104.0, 104.1, "TimeoutError"),
        Sent("events", 104.0, 104.1, "200", events=("a", "b")),
        Sent("recommendations", 104.5, 105.0, "200", wrong="hidden"),
    )
    assert row.requests == 7
    assert row.errors == {"503": 2, "TimeoutError": 1}
    assert (row.degraded, row.wrong, row.wrong_why, row.apart, row.acknowledged) == (1, 1, "hidden", 1, 2)
    assert row.p99_ms is not None
    assert 390 < row.p99_ms <= 500
    assert row.seconds_to_normal == 4.5
    assert row.broken


def test_normal_begins_when_all_is_there_and_answers_are_as_ever() -> None:
    fine = Sent("recommendations", 101.0, 101.2, "200")
    assert row_of(fine).seconds_to_normal == 0.0
    assert row_of(fine, there=107.0).seconds_to_normal == 7.0
    never = row_of(fine, there=None)
    assert never.seconds_to_normal is None
    assert never.broken
    assert not FaultRow("fault", "about", skipped="no root").broken


def test_an_acknowledged_event_that_is_not_stored_is_lost() -> None:
    sent = [Sent("events", 1.0, 1.1, "200", events=("a", "b")), Sent("events", 2.0, 2.1, "503")]
    row = row_of(*sent)
    count_lost(row, sent, {"a", "b", "c"})
    assert (row.lost, row.broken) == (0, False)
    count_lost(row, sent, {"a"})
    assert (row.lost, row.broken) == (1, True)
