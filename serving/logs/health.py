"""What a log went through since its start, and what is wrong with it now: for `/readyz` and metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class EventHealth:
    """Counters of the event log, and the last errors of what it does: empty once it has worked again."""

    recovered: int = 0
    torn_bytes: int = 0
    flush_failures: int = 0
    refusals: int = 0  # batches that were not stored
    last_error: str = ""  # of turning events into Parquet
    append_error: str = ""
    state_error: str = ""


@dataclass(frozen=True)
class Backlog:
    """What waits to be written, or read."""

    rows: int
    problems: int  # that it has now
    bytes: int | None = None  # in memory
    oldest_seconds: float | None = None  # that the oldest has waited


@dataclass(frozen=True)
class LogHealth:
    """Counters by name, and a sentence for each thing that is wrong now."""

    counters: dict[str, Any]
    problems: tuple[str, ...]

    def beside(self, other: "LogHealth") -> "LogHealth":
        """Of two things that work together."""
        return LogHealth({**self.counters, **other.counters}, (*self.problems, *other.problems))

    @classmethod
    def of_all(cls, writers: "Sequence[LogHealth]") -> "LogHealth":
        """Of several writers: counts added up, the first text that says something, and each one's problems."""
        counters: dict[str, Any] = {}
        for writer in writers:
            for name, value in writer.counters.items():
                have = counters.get(name)
                counters[name] = have + value if isinstance(have, int) else have or value
        named = [(f"writer {n} of {len(writers)}", writer) for n, writer in enumerate(writers, 1)]
        return cls(counters, tuple(f"{name}: {problem}" for name, writer in named for problem in writer.problems))
