"""Which writer is told and asked, as an ingress does it; the writers are plain objects here."""

import asyncio
from typing import Any

from serving.deploy.remote_events import RemoteEvents
from serving.logs.checked_events import CheckedEvents
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt
from serving.logs.shard import shard_of
from serving.request.ask import Id, ShownPins, UserState
from tests.unit.serving.logs.test_events import event
from tests.unit.serving.logs.writers import CONTRACT


class Noting:
    """A writer that notes for which users it was called."""

    def __init__(self) -> None:
        self.users: set[Id | None] = set()

    async def store(self, checked: CheckedEvents) -> Receipt:
        self.users |= {row["user_id"] for row in checked.rows.values()}
        return Receipt(len(checked.rows), [])

    def at_hand(self, user_id: Id | None, old: bool = False) -> UserState | None:
        self.users.add(user_id)
        return None

    async def state(self, user_id: Id | None) -> UserState:
        self.users.add(user_id)
        return UserState()

    def shown(self, user_id: Id, answer: ShownPins) -> None:
        self.users.add(user_id)

    async def health(self) -> LogHealth:
        return LogHealth({"waiting": 1}, ())

    async def flush(self) -> int:
        return 3


def test_whatever_concerns_a_user_goes_to_the_users_own_writer() -> None:
    writers: list[Any] = [Noting() for _ in range(3)]
    events = RemoteEvents(CONTRACT, writers)

    async def everything(user: int) -> None:
        await events.state(user)
        await events.at_hand(user, 1.0)
        events.shown(user, ShownPins("homefeed", 0, (1,)))
        receipt = await events.append([event("a", user_id=user), event("b", user_id=user, action="applaud")])
        assert (receipt.accepted, [each.row for each in receipt.refused]) == (1, [1])

    for user in range(30):
        asyncio.run(everything(user))
    for shard, writer in enumerate(writers):
        assert writer.users == {user for user in range(30) if shard_of(user, 3) == shard}
    assert asyncio.run(events.flush()) == 9
    assert asyncio.run(events.health()).counters == {"waiting": 3}


def test_nobody_in_particular_is_asked_of_the_first() -> None:
    writers: list[Any] = [Noting(), Noting()]
    asyncio.run(RemoteEvents(CONTRACT, writers).state(None))
    assert [writer.users for writer in writers] == [{None}, set()]


def test_with_something_before_the_log_new_events_go_there_and_users_are_still_asked_of_their_writers() -> None:
    before: Any = Noting()
    writers: list[Any] = [Noting(), Noting()]
    events = RemoteEvents(CONTRACT, writers, before)
    assert asyncio.run(events.append([event("a", user_id=5), event("b", user_id=6)])).accepted == 2
    assert before.users == {5, 6}
    assert [writer.users for writer in writers] == [set(), set()]
    asyncio.run(events.state(5))
    assert writers[shard_of(5, 2)].users == {5}
