"""What every command shares: one console, progress bars, one-line errors with exit code 1, and figures as JSON.

Texts are printed as they are: paths like `a[x].parquet` and types like `timestamp[ns]` are no markup.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as LiveBars
from rich.text import Text

from cluster.errors import PinfunnelError
from cluster.progress import Progress

console = Console(markup=False)
errors = Console(stderr=True, markup=False)

PLAIN_SECONDS = 30.0
"""How often a step that goes on says so where nothing can be redrawn: in files, pipes and logs of services."""


class Bars:
    """Progress bars by step. `at(name)` gives the callback that rooms below report to."""

    def __init__(self, live: LiveBars, clock: Callable[[], float] = time.monotonic):
        self._live = live
        self._clock = clock
        self._tasks: dict[str, Any] = {}
        self._finished: set[str] = set()
        self._said = clock()

    def at(self, name: str) -> Progress:
        """A callback (step, share done) that draws `name: step`."""

        def report(step: str, share: float) -> None:
            title = f"{name}: {step}" if name else step
            if self._live.console.is_terminal:
                self._draw(title, share)
            else:
                self._say(title, share)

        return report

    def _draw(self, title: str, share: float) -> None:
        if title not in self._tasks:
            self._tasks[title] = self._live.add_task(title, total=1.0)
        self._live.update(self._tasks[title], completed=min(max(share, 0.0), 1.0))

    def _say(self, title: str, share: float) -> None:
        if share >= 1.0 and title not in self._finished:
            self._finished.add(title)
            line = f"{title}: done"
        elif share < 1.0 and self._clock() - self._said >= PLAIN_SECONDS:
            line = f"{title}: {100 * share:.0f} %"
        else:
            return
        self._said = self._clock()
        self._live.console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar() -> Iterator[Bars]:
    """Live bars on a terminal; elsewhere a line per finished step, and one now and then while a long step goes on."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with LiveBars(*columns, console=console, disable=not console.is_terminal) as live:
        yield Bars(live)


@contextmanager
def guarded() -> Iterator[None]:
    """Errors a user can cause become one clear message and exit code 1; others keep their traceback."""
    try:
        yield
    except PinfunnelError as error:
        errors.print(Text.assemble(("error:", "bold red"), f" {error}"), soft_wrap=True)
        raise typer.Exit(1) from None


def write_json(path: Path | None, figures: Any) -> None:
    """Write `figures` for scripts when a path was given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1, default=str) + "\n")


def quiet() -> None:
    """Keep libraries' informational logging off the screen; warnings and errors stay."""
    for name in ("ray", "ray.serve", "ray.data", "ray.train", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
