"""Numbered steps on the console: a live bar while a step runs, one line with its seconds when it is done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as LiveBar
from rich.text import Text

from cluster.progress import Progress


class Steps:
    """Runs named steps one after the other and remembers how long each took."""

    def __init__(self, console: Console, total: int):
        self._console = console
        self._total = total
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, title: str) -> Iterator["RunningStep"]:
        """One step; `note` on what is yielded says what came of it. An exception leaves the line marked as failed."""
        number = f"{len(self.seconds) + 1}/{self._total}"
        columns = (
            SpinnerColumn(),
            TextColumn(number, style="bold"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[doing]}", markup=False),
            TimeElapsedColumn(),
        )
        live = LiveBar(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        began = time.perf_counter()
        with live:
            task = live.add_task(title, total=None, doing="")
            step = RunningStep(lambda doing, share: live.update(task, doing=doing, completed=100 * share, total=100))
            try:
                yield step
            except BaseException:
                self._console.print(Text.assemble(("✗", "red"), " ", (number, "bold"), f" {title}"))
                raise
        self.seconds[title] = time.perf_counter() - began
        took = f"{self.seconds[title]:.1f} s"
        said = f"  {step.said}" if step.said else ""
        self._console.print(Text.assemble(("✓", "green"), " ", (number, "bold"), f" {title}  ", (took, "dim"), said))


class RunningStep:
    """Handed to the body of a step."""

    def __init__(self, tick: Progress):
        self._tick = tick
        self.said = ""

    def tick(self, doing: str, share: float) -> None:
        """Move the bar: what is being done now, and the share of it that is."""
        self._tick(doing, min(max(share, 0.0), 1.0))

    def note(self, text: str) -> None:
        """What the finished line says."""
        self.said = text
