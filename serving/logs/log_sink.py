"""The event log of this process as a sink."""

from serving.logs.checked_events import CheckedEvents
from serving.logs.events import EventLog
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt
from serving.logs.sink import EventSink


class LogSink(EventSink):
    """One event log of this process. It blocks the loop while the disk works: for simulations, notebooks and tests."""

    def __init__(self, log: EventLog):
        self._log = log

    async def store(self, checked: CheckedEvents) -> Receipt:
        """On disk when it returns."""
        return self._log.store(checked)

    async def health(self) -> LogHealth:
        """Of the log."""
        return self._log.health()

    def close(self) -> None:
        """Write what waits, and let the next process have the folder."""
        self._log.close()
