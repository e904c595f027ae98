"""What every command shares: one console, progress bars, one-line errors with exit code 1, and figures as JSON."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cluster.errors import PinfunnelError

console = Console()
errors = Console(stderr=True)


class Bars:
    """Progress bars by step. `at(name)` gives the callback that rooms below report to."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def at(self, name: str) -> Callable[[str, float], None]:
        """A callback (step, share done) that draws `name: step`."""

        def report(step: str, share: float) -> None:
            title = f"{name}: {step}" if name else step
            if title not in self._tasks:
                self._tasks[title] = self._progress.add_task(title, total=1.0)
            self._progress.update(self._tasks[title], completed=min(max(share, 0.0), 1.0))
            if not self._progress.console.is_terminal and share >= 1.0:
                self._progress.console.print(f"{title}: done")

        return report


@contextmanager
def progress_bar() -> Iterator[Bars]:
    """Live bars on a terminal, a line per finished step elsewhere."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bars(progress)


@contextmanager
def guarded() -> Iterator[None]:
    """Errors a user can cause become one clear message and exit code 1; others keep their traceback."""
    try:
        yield
    except PinfunnelError as error:
        errors.print(f"[bold red]error:[/] {error}", highlight=False, soft_wrap=True)
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
