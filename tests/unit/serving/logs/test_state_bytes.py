"""A user's state as bytes: what comes back is what went in, and damaged bytes are an error, never another state."""

import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.logs import state_bytes
from serving.logs.actions import Action, as_recents
from serving.logs.state_bytes import VERSION, pack_state, unpack_state
from serving.request.ask import ShownPins, UserState

IDS = st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8)
MOMENTS = st.integers(-(2**62), 2**62)
STATES = st.builds(
    UserState,
    st.lists(st.builds(Action, MOMENTS, IDS, st.text(max_size=8), st.text(max_size=8)), max_size=8).map(as_recents),
    st.lists(IDS, max_size=8).map(tuple),
    st.lists(st.builds(ShownPins, st.text(max_size=8), MOMENTS, st.lists(IDS).map(tuple)), max_size=4).map(tuple),
)


def plain(state: UserState) -> tuple[Any, ...]:
    """The state as values that `==` compares."""
    return tuple(column.tolist() for column in vars(state.recents).values()), state.hidden, state.shown


@given(STATES, st.text(max_size=40))
def test_what_goes_in_comes_back(state: UserState, tag: str) -> None:
    found_tag, found = unpack_state(pack_state(state, tag))
    assert (found_tag, plain(found)) == (tag, plain(state))


@given(STATES, st.data())
def test_a_damaged_value_is_an_error_or_still_the_same(state: UserState, data: st.DataObject) -> None:
    value = bytearray(pack_state(state, "t"))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = unpack_state(bytes(value))
    except ValueError:
        return
    assert plain(found[1]) == plain(state), "a bit after the end of the stream, say"


@given(STATES, st.data())
def test_half_a_value_is_an_error(state: UserState, data: st.DataObject) -> None:
    value = pack_state(state, "t")
    with pytest.raises(ValueError, match="a user's state"):
        unpack_state(value[: data.draw(st.integers(0, len(value) - 1))])


@pytest.mark.parametrize("body", [{}, [], ["t", [[1], [2], ["save"]], [], []], ["t", [[1], [], [], []], [], []], 7])
def test_another_layout_is_an_error(body: Any) -> None:
    packed = zlib.compress(orjson.dumps(body))
    with pytest.raises(ValueError, match="damaged"):
        unpack_state(VERSION + packed)
    with pytest.raises(ValueError, match="another version"):
        unpack_state(b"0" + packed)


def test_a_value_that_would_fill_the_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of zeros is a kilobyte in the store."""
    monkeypatch.setattr(state_bytes, "MOST_BYTES", 1 << 16)
    with pytest.raises(ValueError, match="larger than any state"):
        unpack_state(VERSION + zlib.compress(b" " * (1 << 20)))
    assert unpack_state(pack_state(UserState(), "t"))[0] == "t"
