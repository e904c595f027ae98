"""The contract at the door: what is an id, a text and a moment, for any value that Python can hold."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.contract.ids import ID_BYTES, IdContract, shown
from cluster.contract.moments import MomentContract
from cluster.contract.text import TEXT_BYTES, field_fault

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers(), max_size=2)
)


@pytest.mark.fuzz
@given(ANYTHING)
def test_what_passes_can_be_stored_and_what_does_not_is_named_shortly(value: Any) -> None:
    for kind, arrow in (("int64", pa.int64()), ("string", pa.string())):
        fault = IdContract(kind).fault(value)  # type: ignore[arg-type]
        if not fault:
            assert pa.array([value], arrow)[0].as_py() == value
        assert len(fault) < 120
        assert fault.isascii()


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), np.int64(5), np.int32(5)])
def test_int64_ids(value: Any) -> None:
    assert IdContract("int64").fault(value) == ""


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**4000, True, np.bool_(True), 1.0, "1", None, b"1"])
def test_what_is_no_int64_id(value: Any) -> None:
    assert IdContract("int64").fault(value)


@pytest.mark.parametrize("value", ["a", "é", "urn:li:5", " ", "x" * ID_BYTES, "é" * (ID_BYTES // 2), "\0"])
def test_text_ids(value: str) -> None:
    assert IdContract("string").fault(value) == ""


@pytest.mark.parametrize("value", ["", "x" * (ID_BYTES + 1), "é" * (ID_BYTES // 2 + 1), "\ud800", 5, None, b"a"])
def test_what_is_no_text_id(value: Any) -> None:
    assert IdContract("string").fault(value)


@pytest.mark.parametrize("name", TEXT_BYTES)
def test_every_text_field_has_a_bound(name: str) -> None:
    assert field_fault(name, "x" * TEXT_BYTES[name]) == ""
    assert field_fault(name, None) == ""
    assert "bytes" in field_fault(name, "x" * (TEXT_BYTES[name] + 1))
    assert "Unicode" in field_fault(name, "\udc80")
    assert field_fault(name, 5)


def test_moments() -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    live, simulated = MomentContract(timedelta(days=90)), MomentContract(timedelta(days=90), live=False)
    assert live.fault(now, now) == live.fault(now - timedelta(days=89), now) == ""
    assert "in the future" in live.fault(now + timedelta(hours=1), now)
    assert "90 days ago" in live.fault(now - timedelta(days=91), now)
    assert "no time zone" in live.fault(datetime(2026, 1, 1), now)
    assert simulated.fault(now + timedelta(days=400), now) == ""
    for window in (live, simulated):
        assert "outside the years" in window.fault(datetime.min.replace(tzinfo=UTC), now)
        assert "outside the years" in window.fault(datetime.max.replace(tzinfo=UTC), now)


def test_values_in_messages_are_short_and_plain() -> None:
    assert len(shown("x" * 10_000_000)) < 60
    assert len(shown(10**4000)) < 60
    assert shown("\ud800").isascii()
