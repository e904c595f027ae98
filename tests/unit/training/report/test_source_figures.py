"""Figures of sources against counting by hand, and a union that no slow twin orders otherwise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.report.sources import CUTS, SourceFindings, union_of


def pins(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def two_requests() -> SourceFindings:
    """The walk finds 1 of 2 wanted pins and all of 1; content alone finds the other one."""
    findings = SourceFindings(("walk", "content"))
    findings.add(
        "a", pins(5, 9), {"walk": pins(5, 6, 7), "content": pins(9, 5)}, {"walk": 2.0, "content": 1.0}, ("new",)
    )
    findings.add("b", pins(1), {"walk": pins(1), "content": pins()}, {"walk": 4.0, "content": 1.0}, ("old",))
    return findings


def test_recall_what_is_lost_overlap_and_cost_are_those_of_the_lists() -> None:
    report = two_requests().report()
    assert report["requests"] == report["users"] == 2
    assert report["recall"]["walk"]["10"]["mean"] == pytest.approx(0.75)
    assert report["recall"]["content"]["10"]["mean"] == pytest.approx(0.5)
    assert report["recall"]["union"]["500"]["mean"] == pytest.approx(1.0)
    assert report["lost_without"]["content"]["mean"] == pytest.approx(0.25)
    assert report["lost_without"]["walk"]["mean"] == pytest.approx(0.5)
    assert report["union_over"]["walk"]["100"]["mean"] == pytest.approx(0.25)
    assert report["overlap"]["walk"]["content"] == pytest.approx((1 / 3 + 0.0) / 2)
    assert report["overlap"]["content"]["walk"] == pytest.approx(0.5)  # of the request in which it found any
    assert report["milliseconds"] == {"walk": 3.0, "content": 1.0}
    assert report["lost_per_ms"]["content"] == pytest.approx(0.25)
    assert report["segments"]["new"]["recall@100"]["walk"]["mean"] == pytest.approx(0.5)


def test_a_wanted_pin_that_no_graph_has_counts_as_missed() -> None:
    findings = SourceFindings(("walk",))
    findings.add("a", pins(3, -1), {"walk": pins(3)}, {"walk": 1.0})
    assert findings.report()["recall"]["union"]["500"]["mean"] == pytest.approx(0.5)


def test_of_a_part_of_the_pins_only_these_count() -> None:
    findings = two_requests()
    found = {"walk": pins(5, 6, 7), "content": pins(9, 5)}
    findings.narrow("cold", "a", pins(9), found, {"walk": 2.0, "content": 1.0})
    findings.narrow("cold", "b", pins(), {"walk": pins(1), "content": pins()}, {"walk": 4.0, "content": 1.0})
    report = findings.report()
    cold = report["segments"]["cold"]
    assert cold["requests"] == 1
    assert {name: value["mean"] for name, value in cold["recall@100"].items()} == {
        "walk": 0.0,
        "content": 1.0,
        "union": 1.0,
    }
    assert report["requests"] == 2
    assert report["recall"]["walk"]["10"]["mean"] == pytest.approx(0.75)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_union_has_every_pin_once_in_fused_order(data: st.DataObject) -> None:
    lists = st.lists(st.integers(0, 30), max_size=20, unique=True)
    found = {name: np.array(data.draw(lists), np.int64) for name in ("a", "b", "c")}
    score: dict[int, float] = {}
    for mine in found.values():
        for rank, pin in enumerate(mine.tolist()):
            score[pin] = score.get(pin, 0.0) + 1.0 / (60.0 + rank)
    union = union_of(found).tolist()
    assert sorted(union) == sorted(score)
    values = [round(score[pin], 6) for pin in union]
    assert values == sorted(values, reverse=True)


def test_without_sources_or_cuts_beyond_the_lists_nothing_breaks() -> None:
    findings = SourceFindings(("walk",))
    findings.add("a", pins(3), {"walk": pins()}, {"walk": 1.0})
    report = findings.report()
    assert [report["recall"]["walk"][str(cut)]["mean"] for cut in CUTS] == [0.0] * len(CUTS)
    assert report["overlap"]["walk"]["walk"] is None
