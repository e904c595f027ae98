"""Lines of log about requests: a sample that every stage agrees on, bounded lines of faults, and nobody's data."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from serving.http.request_lines import MOST_LINES, WINDOW, RequestLines, Throttle, is_told


def answer(seed: int = 1, faults: tuple[str, ...] = ()) -> Any:
    ask = SimpleNamespace(client="homefeed", seed=seed, user_id="ann@example.org")
    stages = [SimpleNamespace(stage="walk", milliseconds=1.234)]
    return SimpleNamespace(ask=ask, faults=list(faults), shown=[1, 2], stages=stages)


class Written(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    journal = logging.getLogger("serving.http.request_lines")
    written = Written()
    before = journal.level
    journal.setLevel(logging.INFO)
    journal.addHandler(written)
    yield written.records
    journal.removeHandler(written)
    journal.setLevel(before)


def test_the_sample_has_its_share_and_nobody_at_zero() -> None:
    seeds = [int(f"{n * 2654435761 % 2**60:015x}", 16) for n in range(20_000)]
    assert not any(is_told(seed, 0.0) for seed in seeds)
    assert all(is_told(seed, 1.0) for seed in seeds)
    assert sum(is_told(seed, 0.1) for seed in seeds) == pytest.approx(2000, rel=0.1)


def test_an_answer_of_the_sample_has_a_line_with_its_id(lines: list[Any]) -> None:
    RequestLines(1.0).answered(answer(), "abc", 7.0)
    assert [line.getMessage() for line in lines] == ["answered"]
    assert (lines[0].answer, lines[0].client, lines[0].stages) == ("abc", "homefeed", {"walk": 1.23})
    assert "ann@example.org" not in str(vars(lines[0]))


def test_an_answer_that_lacks_something_has_a_line_whatever_the_sample(lines: list[Any]) -> None:
    RequestLines(0.0).answered(answer(), "whole", 7.0)
    RequestLines(0.0).answered(answer(faults=("walk: not done within its 5 ms",)), "abc", 7.0)
    assert [(line.answer, line.levelname, line.lacks) for line in lines] == [
        ("abc", "WARNING", ["walk: not done within its 5 ms"])
    ]


def test_what_the_caller_sent_is_in_no_line(lines: list[Any]) -> None:
    RequestLines(0.0).answered(answer(faults=("candidates: query pin 'secret' is not in the graph",)), "abc", 7.0)
    assert list(lines) == []


def test_lines_of_faults_are_bounded_and_the_rest_is_counted(lines: list[Any]) -> None:
    now = [0.0]
    journal = RequestLines(0.0, Throttle(clock=lambda: now[0]))
    for _ in range(10 * MOST_LINES):
        journal.failed("/v1/events", 503, "the disk is full")
    assert len(lines) == MOST_LINES
    now[0] = WINDOW
    journal.failed("/v1/events", 503, "the disk is full")
    journal.failed("/v1/events", 503, "the disk is full")
    assert [getattr(line, "kept_back", 0) for line in list(lines)[MOST_LINES:]] == [9 * MOST_LINES, 0]
