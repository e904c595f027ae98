"""When something may have happened: in the years that make sense, not after now. Knows nothing of HTTP or files."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MICROSECONDS_PER_HOUR = 3.6e9
CLOCK_SKEW = timedelta(minutes=5)
"""A sender's clock may run ahead of ours by so much."""
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Outside these years a timestamp is a mistake of units or a default value, in any input."""


@dataclass(frozen=True)
class MomentContract:
    """The moments that live events may have. `age` bounds how many dates one batch can touch; None: since 1970.

    In a simulation the world's clock is not ours, so only the sane years hold (`live` off).
    """

    age: timedelta | None = None
    live: bool = True

    def fault(self, moment: datetime, now: datetime) -> str:
        """Why an event cannot have happened then, in a few words; empty when it can."""
        if moment.tzinfo is None:
            return "has no time zone; send UTC, like 2026-01-31T12:00:00Z"
        if not FIRST.year <= moment.year < LAST.year:
            return f"lies outside the years {FIRST.year} to {LAST.year - 1}"
        if not self.live:
            return ""
        if moment > now + CLOCK_SKEW:
            return f"{moment.isoformat()} is in the future"
        if self.age is not None and moment < now - self.age:
            return f"more than {self.age.days} days ago: put old actions into the `events` input (docs/data.md)"
        return ""
