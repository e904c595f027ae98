"""Whatever a service answers is read, or refused with the entry and the reason: nothing else is raised."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DataError
from serving.candidates.external_answer import read_answer

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["pins", "pin_id", "score"]), inner, max_size=3)
        | st.lists(st.fixed_dictionaries({"pin_id": inner, "score": inner}), max_size=3).map(lambda p: {"pins": p})
    ),
    max_leaves=10,
)


@given(raw=ODD, ids=st.sampled_from(["int64", "string"]))
def test_any_json_is_read_or_refused(raw: Any, ids: str) -> None:
    refused = ""
    try:
        answer = read_answer(json.dumps(raw).encode(), ids)
    except DataError as error:
        refused = str(error)
    assert len(refused) < 300
    if refused:
        return
    assert len(answer.ids) == len(answer.score) == len(raw["pins"])
    assert np.isfinite(answer.score).all()
    assert answer.ids.tolist() == [pin["pin_id"] for pin in raw["pins"]]


@given(body=st.binary(max_size=40))
def test_any_bytes_are_refused_or_read(body: bytes) -> None:
    with pytest.raises(DataError, match="service"):
        read_answer(body, "int64")


@pytest.mark.parametrize(
    ("pins", "ids", "message"),
    [
        ([{"pin_id": "5", "score": 1}], "int64", r"pins\[0\]: ids of this project are int64, found '5'"),
        (
            [{"pin_id": "a", "score": 1}, {"pin_id": 5, "score": 1}],
            "string",
            r"pins\[1\]: ids of this project are text",
        ),
        ([{"pin_id": True, "score": 1}], "int64", r"pins\[0\]: ids of this project are int64"),
        ([{"pin_id": 2**63, "score": 1}], "int64", r"an int64 id lies between"),
        ([{"pin_id": 5}], "int64", r"pins\[0\]: score must be a finite number, found None"),
        ([{"pin_id": 5, "score": float("nan")}], "int64", r"score must be a finite number"),
        ([{"pin_id": 5, "score": 10**400}], "int64", r"score must be a finite number"),
        ([5], "int64", r"pins\[0\]: expected an object"),
        ({"5": 1}, "int64", r'no list "pins"'),
    ],
)
def test_a_fault_names_the_entry(pins: Any, ids: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_answer(json.dumps({"pins": pins}).encode(), ids)


def test_a_deep_answer_is_refused() -> None:
    with pytest.raises(DataError, match="not JSON"):
        read_answer(b"[" * 200_000, "int64")
