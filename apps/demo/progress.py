"""Numbered steps on the console: a live bar while a step runs, one line with its seconds when it is done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

Tick = Callable[[str, float], None]
"""(what is being done, share done)"""


class Steps:
    """Runs named steps one after the other and remembers how long each took."""

    def __init__(self, console: Console, total: int):
        self._console, self._total = console, total
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, title: str) -> Iterator["Step"]:
        """One step; `note` on what is yielded says what came of it. An exception leaves the line marked as failed."""
        number = f"[bold]{len(self.seconds) + 1}/{self._total}[/bold] {title}"
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), TaskProgressColumn(),
                   TextColumn("{task.fields[doing]}"), TimeElapsedColumn())  # fmt: skip
        live = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        began = time.perf_counter()
        with live:
            task = live.add_task(number, total=None, doing="")
            step = Step(lambda doing, share: live.update(task, doing=doing, completed=100 * share, total=100))
            try:
                yield step
            except BaseException:
                self._console.print(f"[red]✗[/red] {number}")
                raise
        self.seconds[title] = time.perf_counter() - began
        done = f"[green]✓[/green] {number}  [dim]{self.seconds[title]:.1f} s[/dim]"
        self._console.print(done + (f"  {step.said}" if step.said else ""), highlight=False)


class Step:
    """Handed to the body of a step."""

    def __init__(self, tick: Tick):
        self._tick = tick
        self.said = ""

    def tick(self, doing: str, share: float) -> None:
        """Move the bar: what is being done now, and the share of it that is."""
        self._tick(doing, min(max(share, 0.0), 1.0))

    def count(self, done: int, total: int) -> None:
        """Move the bar by a count."""
        self._tick(f"{done:,} of {total:,}", done / max(total, 1))

    def note(self, text: str) -> None:
        """What the finished line says."""
        self.said = text
