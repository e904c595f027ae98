"""What a sender of events is told: how many are on disk, and which were refused and why."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Refused:
    """An event that was not stored: its row in the batch, its id as it came, and `field: what is wrong`."""

    row: int
    event_id: Any
    reason: str


@dataclass(frozen=True)
class Receipt:
    """How many events are on disk, and which were refused and why."""

    accepted: int
    refused: list[Refused]
