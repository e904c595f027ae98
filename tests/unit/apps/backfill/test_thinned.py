"""A sample of the candidates that led to nothing: the others all stay, values stay, and training counts them right."""

import numpy as np
import pytest

from apps.backfill.piece import MATRICES, PER_CANDIDATE, thinned
from cluster.data.schema import IMPRESSED, RANKED, serving_schema

CANDIDATES, WIDTH = 300, 3


def row(request: str = "backfill-homefeed-1-2") -> dict:
    """A replayed request with five candidates acted on; every value is that of its candidate's index."""
    index = np.arange(CANDIDATES)
    stage = np.full(CANDIDATES, RANKED, np.int8)
    stage[[3, 50, 120, 121, 299]] = IMPRESSED
    return {
        "request_id": request,
        "kept_rate": None,
        **dict.fromkeys(PER_CANDIDATE, index),
        "stage": stage,
        **{name: np.repeat(index, WIDTH).astype(np.float32) for name in MATRICES},
    }


NONE = np.zeros(CANDIDATES, bool)


def test_what_was_acted_on_without_being_shown_stays_too() -> None:
    acted = NONE.copy()
    acted[[7, 8]] = True
    out = thinned(row(), acted, 100)
    assert {7, 8} <= set(out["pin_id"])
    assert len(out["pin_id"]) == 107
    assert out["kept_rate"] == pytest.approx(100 / 293)


def test_what_was_acted_on_stays_and_the_rest_is_a_sample() -> None:
    out = thinned(row(), NONE, 100)
    kept = out["pin_id"]
    assert len(kept) == 105
    assert set(kept[out["stage"] == IMPRESSED]) == {3, 50, 120, 121, 299}
    assert (np.diff(kept) > 0).all()  # in the walk's order
    assert out["kept_rate"] == pytest.approx(100 / 295)
    assert all((out[name] == kept).all() for name in PER_CANDIDATE if name != "stage")
    for name in MATRICES:
        assert (out[name].reshape(-1, WIDTH) == kept[:, None]).all()
    assert (thinned(row(), NONE, 100)["pin_id"] == kept).all()  # any process draws the same


def test_a_short_request_is_whole() -> None:
    whole = row()
    assert thinned(whole, NONE, 295) is whole


def test_every_candidate_has_the_same_chance() -> None:
    drawn = np.zeros(CANDIDATES)
    for i in range(2000):
        drawn[thinned(row(f"request-{i}"), NONE, 100)["pin_id"]] += 1
    others = row()["stage"] != IMPRESSED
    assert (drawn[~others] == 2000).all()
    assert np.abs(drawn[others] / 2000 - 100 / 295).max() < 0.055  # 5 standard deviations


def test_no_list_of_candidates_is_forgotten() -> None:
    lists = {field.name for field in serving_schema("int64") if str(field.type).startswith("list")}
    of_request = {name for name in lists if name.startswith(("query_", "sequence_"))}
    of_request |= {"shared_features", "source_name", "source_budget"}
    of_request |= {"exposure", "explored_dropped", "team"}  # empty: a replay is in no experiment and explores nothing
    assert lists - of_request == {*PER_CANDIDATE, *MATRICES}
