"""What came of the load around one fault, from the moment that it was made until all was normal again."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from apps.faults.load import Sent


@dataclass
class FaultRow:
    """One fault's figures. `seconds_to_normal` is None when nothing was normal again in time."""

    fault: str
    about: str
    requests: int = 0
    errors: dict[str, int] = field(default_factory=dict)  # by status or kind; 429 and 503 say when to come back
    said: dict[str, str] = field(default_factory=dict)  # by the same, what came with the last one
    degraded: int = 0  # answers that say what they lack, and events that were refused by name
    wrong: int = 0
    wrong_why: str = ""
    apart: int = 0  # answers whose versions are of neighbouring generations
    acknowledged: int = 0  # events
    lost: int = 0  # of the acknowledged
    p99_ms: float | None = None  # of recommendations that were answered
    seconds_to_normal: float | None = None
    note: str = ""
    skipped: str = ""

    @property
    def broken(self) -> bool:
        """Whether something is not as it must be."""
        return bool(self.wrong or self.lost or (self.seconds_to_normal is None and not self.skipped))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "broken": self.broken}


def fill(row: FaultRow, sent: Sequence[Sent], made: float, there: float | None) -> None:
    """Count the requests since the fault was `made`. What it broke was `there` again then; None: not all was normal.

    Normal begins behind the last request that was to leave and was not answered as ever.
    """
    of_answers = [each for each in sent if each.kind == "recommendations" and each.status == "200"]
    row.requests = len(sent)
    row.errors = dict(Counter(each.status for each in sent if each.status != "200"))
    row.said = {each.status: each.said for each in sent if each.status != "200"}
    row.degraded = sum(bool(each.degraded) for each in sent if each.status == "200")
    wrong = [each.wrong for each in sent if each.wrong]
    row.wrong = len(wrong)
    row.wrong_why = wrong[0] if wrong else ""
    row.apart = sum(each.apart > 0 for each in of_answers)
    row.acknowledged = sum(len(each.events) for each in sent)
    if of_answers:
        row.p99_ms = round(float(np.percentile([each.done - each.due for each in of_answers], 99)) * 1e3, 1)
    bad = [each.due for each in sent if not each.normal]
    row.seconds_to_normal = None if there is None else round(max([made, there, *bad]) - made, 1)


def count_lost(row: FaultRow, sent: Sequence[Sent], stored: Collection[str]) -> None:
    """Acknowledged events, by id, that the log does not hold."""
    lost = {name for each in sent for name in each.events} - set(stored)
    row.lost = len(lost)
