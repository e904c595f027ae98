"""The contract of whatever makes events durable: the event log's own files, or a broker in front of them."""

from typing import Protocol

from serving.logs.checked_events import CheckedEvents
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt


class EventSink(Protocol):
    """Takes batches of checked events. Whoever calls it has an event loop."""

    async def store(self, checked: CheckedEvents) -> Receipt:
        """Returns once every event of the batch is durable, or refused by name in the receipt.

        Raises OSError when it cannot be: some of the batch may be durable all the same. The sender sends all of it
        again, and what is there already counts once, by its id.
        """
        ...

    async def health(self) -> LogHealth:
        """Counters, and what is wrong now."""
        ...

    def close(self) -> None:
        """Wait for what is under way, and take no more."""
        ...
