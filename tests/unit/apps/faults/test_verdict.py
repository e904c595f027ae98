"""What the drill calls wrong: versions that may not serve, two graphs in an answer, hidden pins, another answer."""

from types import SimpleNamespace
from typing import Any

import pytest

from apps.faults.site import ANSWER, KINDS
from apps.faults.verdict import LATE, Judge, alike

GRAPH, TREES, NETWORK = KINDS
PINS = tuple((pin, float(ANSWER - pin)) for pin in range(ANSWER))
OTHERS = tuple((pin + 100, score) for pin, score in PINS)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    monkeypatch.setattr("apps.faults.verdict.time.monotonic", lambda: 0.0)
    versions = {kind: (f"{kind}-1", f"{kind}-2") for kind in KINDS}
    site: Any = SimpleNamespace(versions=versions, expected={(0, "AAA"): PINS, (0, "BAA"): OTHERS})
    return Judge(site)


def answer(pins: tuple[tuple[int, float], ...] = PINS, degraded: str = "", **named: Any) -> dict[str, Any]:
    versions = {"graph": f"{GRAPH}-1", "lightweight": f"{TREES}-1", "full": f"{NETWORK}-1", **named}
    stages = [{"stage": "walk", "version": versions["graph"]}]
    stages += [{"stage": name, "version": versions[name]} for name in ("lightweight", "full") if versions[name]]
    pins_told = [{"pin_id": pin, "score": score} for pin, score in pins]
    return {"versions": versions, "stages": stages, "degraded": degraded, "pins": pins_told}


def why(judge: Judge, told: dict[str, Any], question: int | None = 0, hidden: tuple[int, ...] = ()) -> str:
    return judge.of(told, question, hidden, sent=1.0, done=1.1)[0]


def test_the_expected_answer_is_right(judge: Judge) -> None:
    assert judge.of(answer(), 0, (), 1.0, 1.1) == ("", 0)


def test_another_answer_is_wrong_unless_nothing_is_known_of_the_question(judge: Judge) -> None:
    assert "not what AAA answers" in why(judge, answer(OTHERS))
    assert why(judge, answer(OTHERS), question=None) == ""


def test_two_graphs_in_one_answer_are_wrong(judge: Judge) -> None:
    mixed = answer()
    mixed["stages"][0]["version"] = "another"
    assert "mixed" in why(judge, mixed)


def test_what_was_never_published_or_is_bad_is_wrong(judge: Judge) -> None:
    assert "not to be served" in why(judge, answer(graph="unknown"))
    judge.published(GRAPH, "damaged", "")
    assert "not to be served" in why(judge, answer(graph="damaged"))
    assert why(judge, answer()) == "", "the old one serves on, however long the bad one is published"


def test_an_old_version_may_serve_for_a_while(judge: Judge) -> None:
    judge.published(GRAPH, "new", "B")
    assert judge.of(answer(), 0, (), LATE - 1, LATE)[0] == ""
    assert "not to be served" in judge.of(answer(), 0, (), LATE + 1, LATE + 2)[0]
    assert judge.of(answer(OTHERS, graph="new"), 0, (), LATE + 1, LATE + 2) == ("", 1)
    assert "not what BAA answers" in judge.of(answer(graph="new"), 0, (), LATE + 1, LATE + 2)[0]


def test_hidden_and_repeated_pins_are_wrong_also_where_a_stage_is_missing(judge: Judge) -> None:
    assert "hid" in why(judge, answer(), hidden=(3,))
    assert "hid" in why(judge, answer(degraded="full: late", full=None), hidden=(3,))
    assert why(judge, answer(degraded="events: not known"), hidden=(3,)) == ""
    assert "twice" in why(judge, answer((*PINS[:-1], PINS[0]), degraded="full: late"))


def test_a_stage_may_be_missing_only_where_the_answer_says_so(judge: Judge) -> None:
    assert why(judge, answer(OTHERS, degraded="full: late", full=None)) == ""
    assert "not to be served" in why(judge, answer(full=None))
    assert why(judge, answer(PINS[:-1])) == f"{ANSWER - 1} pins"


def test_only_pins_of_equal_scores_may_change_places() -> None:
    assert alike(((1, 2.0), (2, 2.0)), ((2, 2.0), (1, 2.0)))
    assert not alike(((1, 2.0), (2, 1.0)), ((2, 2.0), (1, 1.0)))
    assert not alike(((1, 2.0),), ((1, 2.1),))
    assert not alike(((3, 2.0), (2, 2.0)), ((2, 2.0), (1, 2.0)))
