"""Several writers of the event log as one sink: each user's events go to one of them."""

import asyncio
from collections.abc import Sequence

from cluster.errors import in_short
from serving.logs.checked_events import CheckedEvents
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt
from serving.logs.shard import shard_of
from serving.logs.sink import EventSink

HEALTH_SECONDS = 1.5
"""A writer that says nothing for so long has a problem."""


class ShardedSink(EventSink):
    """Several writers, each with its share of the users. A batch is acknowledged when every writer has its part."""

    def __init__(self, writers: Sequence[EventSink]):
        """In the order of their shards."""
        self._writers = writers

    async def store(self, checked: CheckedEvents) -> Receipt:
        """All parts at the same time. Raises OSError when one is refused; the others may be stored then."""
        parts: dict[int, CheckedEvents] = {}
        for row, event in checked.rows.items():
            shard = shard_of(event["user_id"], len(self._writers))
            parts.setdefault(shard, CheckedEvents({}, [])).rows[row] = event
        calls = (self._writers[shard].store(part) for shard, part in parts.items())
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        refused = list(checked.refused)
        accepted = 0
        for shard, outcome in zip(parts, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise OSError(f"writer {shard + 1} of {len(self._writers)}: {in_short(outcome)}") from outcome
            accepted += outcome.accepted
            refused += outcome.refused
        return Receipt(accepted, sorted(refused, key=lambda each: each.row))

    async def health(self) -> LogHealth:
        """Counters of all together, and each one's problems."""
        asked = (asyncio.wait_for(writer.health(), HEALTH_SECONDS) for writer in self._writers)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return LogHealth.of_all(
            [
                LogHealth({}, (f"it does not answer: {in_short(each)}",)) if isinstance(each, BaseException) else each
                for each in answers
            ]
        )

    def close(self) -> None:
        """All of them."""
        for writer in self._writers:
            writer.close()
