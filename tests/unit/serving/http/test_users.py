"""What a request knows of its user, and how long it waits for that: fresh, asked for, old, or nothing, and says so."""

import asyncio
from typing import Any

import pytest

from serving.http.users import Events, known_of
from serving.request.ask import Id, UserState
from serving.request.deadline import Deadline

FRESH = UserState(hidden=(1,))
ASKED = UserState(hidden=(2,))
OLD = UserState(hidden=(3,))


class Told(Events):
    """Knows what it is given."""

    def __init__(self, fresh: UserState | None, asked: UserState | Exception | None, old: UserState | None):
        self._fresh = fresh
        self._asked = asked
        self._old = old
        self.calls = 0

    async def at_hand(self, user_id: Id | None, seconds: float, old: bool = False) -> UserState | None:
        return self._old if old else self._fresh

    async def state(self, user_id: Id | None) -> UserState:
        self.calls += 1
        if self._asked is None:
            await asyncio.sleep(60)
        if isinstance(self._asked, Exception):
            raise self._asked
        assert self._asked is not None
        return self._asked


@pytest.mark.parametrize(
    ("events", "state", "fault", "calls"),
    [
        (Told(FRESH, ASKED, OLD), FRESH, "", 0),
        (Told(None, ASKED, OLD), ASKED, "", 1),
        (Told(None, RuntimeError("dead"), OLD), OLD, "in the last moments is not known (RuntimeError)", 1),
        (Told(None, None, OLD), OLD, "in the last moments is not known (not done within its time)", 1),
        (Told(None, None, None), UserState(), "since the last build is not known (not done within its time)", 1),
    ],
)
def test_the_newest_that_can_be_had_in_time(events: Told, state: UserState, fault: str, calls: int) -> None:
    found, faults = asyncio.run(known_of(events, 7, Deadline.after(0.4)))
    assert (found.hidden, len(found.recents.pin_ids)) == (state.hidden, 0)
    assert all(told[:2] == ("events", "stale") for told in faults)
    assert fault in "; ".join(text for _, _, text in faults)
    assert bool(fault) == bool(faults)
    assert events.calls == calls


def test_nobody_is_not_looked_up() -> None:
    class Never(Told):
        async def at_hand(self, *_: Any, **__: Any) -> UserState | None:
            raise AssertionError("an anonymous visitor has no state")

    found, faults = asyncio.run(known_of(Never(None, None, None), None, Deadline.after(1.0)))
    assert (found.hidden, found.shown, faults) == ((), (), ())
