"""What is known of who asks, within the time that there is for it; and the event log, wherever it runs."""

import asyncio
from typing import Any, Protocol

from cluster.errors import in_short
from cluster.store.pseudonyms import Pseudonyms
from serving.funnel.runner import Fault
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt
from serving.request.ask import Id, ShownPins, UserState
from serving.request.deadline import Deadline

HEALTH_SECONDS = 2.0


class Events(Protocol):
    """The event log, wherever it runs."""

    through_topic: bool = False
    """Whether events go to a topic first, from which the log is written."""

    async def append(self, events: list[dict[str, Any]]) -> Receipt:
        """Make events durable, then say what was taken."""
        ...

    async def at_hand(self, user_id: Id | None, seconds: float, old: bool = False) -> UserState | None:
        """What is known of the user without asking whoever knows it now, within `seconds`.

        None when that is nothing fresh; or, if `old` will do, nothing.
        """
        ...

    async def state(self, user_id: Id | None) -> UserState:
        """What is known of the user, from whoever knows it now."""
        ...

    def shown(self, user_id: Id, answer: ShownPins) -> None:
        """The user was shown these pins. Returns at once; every process knows it within a second."""
        ...

    async def health(self) -> LogHealth:
        """Counters, and what is wrong with the log now."""
        ...

    async def flush(self) -> int:
        """Write what is durable into Parquet; the number of events."""
        ...


class PseudonymousEvents(Events):
    """The same log, to which users are called by their pseudonyms; what goes to a topic first has their ids there."""

    def __init__(self, events: Events, names: Pseudonyms):
        self._events = events
        self._of = names.of

    async def append(self, events: list[dict[str, Any]]) -> Receipt:
        """Events name users by their ids."""
        if not self._events.through_topic:
            events = [{**event, "user_id": self._of(event["user_id"])} for event in events]
        return await self._events.append(events)

    async def at_hand(self, user_id: Id | None, seconds: float, old: bool = False) -> UserState | None:
        """Of the user with this id."""
        return await self._events.at_hand(self._named(user_id), seconds, old)

    async def state(self, user_id: Id | None) -> UserState:
        """Of the user with this id."""
        return await self._events.state(self._named(user_id))

    def shown(self, user_id: Id, answer: ShownPins) -> None:
        """To the user with this id."""
        self._events.shown(self._of(user_id), answer)

    async def health(self) -> LogHealth:
        """Of the log."""
        return await self._events.health()

    async def flush(self) -> int:
        """The log's."""
        return await self._events.flush()

    def _named(self, user_id: Id | None) -> Id | None:
        return None if user_id is None else self._of(user_id)


async def known_of(events: Events, user_id: Id | None, deadline: Deadline) -> tuple[UserState, tuple[Fault, ...]]:
    """The user's state, and why it is not the newest.

    An old state is better than no answer: whoever has to be asked for it has a quarter of the time that is left.
    """
    if user_id is None:
        return UserState(), ()
    at_hand = await events.at_hand(user_id, deadline.left() / 4)
    if at_hand is not None:
        return at_hand, ()
    try:
        return await asyncio.wait_for(events.state(user_id), deadline.left() / 4), ()
    except Exception as error:
        why = "not done within its time" if isinstance(error, TimeoutError) else type(error).__name__
    old = await events.at_hand(user_id, deadline.left() / 4, old=True)
    if old is not None:
        return old, (("events", "stale", f"what the user did and hid in the last moments is not known ({why})"),)
    return UserState(), (("events", "stale", f"what the user did and hid since the last build is not known ({why})"),)


async def health_of(events: Events) -> LogHealth:
    """What the event log says of itself; that it says nothing is a problem, too."""
    try:
        return await asyncio.wait_for(events.health(), HEALTH_SECONDS)
    except Exception as error:
        return LogHealth({}, (f"the event log does not answer: {in_short(error)}",))
