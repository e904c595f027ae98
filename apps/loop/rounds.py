"""What rounds did, as files that outlive the process: one of JSON for each, written anew after every step."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cluster.settings.loop import LoopSettings
from cluster.store.disk import write_whole

KEPT = 400
"""Rounds whose files stay: a year of nights."""


@dataclass(frozen=True)
class StepReport:
    """What became of one step."""

    command: str
    exit_code: int
    seconds: float
    last_lines: tuple[str, ...] = ()  # of what it said
    figures: dict[str, Any] = field(default_factory=dict)  # its --json
    added: str | None = None  # the file of edges that is in the graph now

    @property
    def failed(self) -> bool:
        """Whether it did not do its work."""
        return self.exit_code != 0


@dataclass(frozen=True)
class RoundReport:
    """One round. Without `ended` it is under way, or was killed."""

    began: str  # ISO, UTC
    steps: tuple[StepReport, ...] = ()
    ended: str | None = None

    @property
    def worked(self) -> bool:
        """Whether it came to its end, and every step did its work."""
        return self.ended is not None and not any(step.failed for step in self.steps)

    def text(self) -> str:
        """One line."""
        if self.worked:
            return f"round of {self.began}: all {len(self.steps)} steps done"
        failed = [f"`pinfunnel {step.command}`: {' '.join(step.last_lines[-2:])}" for step in self.steps if step.failed]
        return f"round of {self.began}: " + ("; ".join(failed) or "killed half way")


class Rounds:
    """The reports below a folder. What the disk refuses stays here, and is written with the next one that it takes."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._refused: dict[Path, RoundReport] = {}

    def write(self, report: RoundReport) -> str:
        """Store or replace the report of a round; the oldest beyond `KEPT` go. Why the disk refuses; empty when not."""
        name = report.began.replace(":", "").replace("+0000", "Z")
        self._refused[self._folder / f"{name}.json"] = report
        try:
            for path, each in list(self._refused.items()):
                write_whole(path, json.dumps(asdict(each), indent=1, default=str).encode())
                del self._refused[path]
            for old in sorted(self._folder.glob("*.json"))[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            return str(error)
        return ""

    def read(self) -> list[RoundReport]:
        """All of them, oldest first; one that cannot be read is left out."""
        paths = sorted({*self._folder.glob("*.json"), *self._refused})
        found = [self._refused.get(path) or _read(path) for path in paths]
        return [report for report in found if report is not None]


def _read(path: Path) -> RoundReport | None:
    try:
        raw = json.loads(path.read_text())
        steps = tuple(StepReport(**{**step, "last_lines": tuple(step["last_lines"])}) for step in raw.pop("steps"))
        return RoundReport(steps=steps, **raw)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def taken(rounds: Sequence[RoundReport]) -> set[str]:
    """Files of edges that rounds have added."""
    return {step.added for report in rounds for step in report.steps if step.added and not step.failed}


def due(rounds: Sequence[RoundReport], settings: LoopSettings) -> datetime:
    """When the next round begins: `every_hours` after the last one did, sooner where it failed; at once without one.

    A round that was killed is due at once.
    """
    if not rounds or rounds[-1].ended is None:
        return datetime.fromtimestamp(0, UTC)
    last = rounds[-1]
    regular = datetime.fromisoformat(last.began) + timedelta(hours=settings.every_hours)
    in_row = 0
    for report in reversed(rounds):
        if report.worked:
            break
        in_row += 1
    if not in_row:
        return regular
    wait = timedelta(minutes=settings.retry_minutes) * 2 ** min(in_row - 1, 20)
    assert last.ended is not None
    return min(regular, datetime.fromisoformat(last.ended) + wait)
