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
from cluster.progress import Counted, Progress

console = Console(markup=False)
errors = Console(stderr=True, markup=False)

PLAIN_SECONDS = 30.0
"""How often a step that goes on says so where nothing can be redrawn: in files, pipes and logs of services."""
COUNT_SECONDS = 10.0
"""The same for work that is counted, of which more can be said."""


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

    def count(self, name: str, unit: str) -> Counted:
        """A callback (done, in all) that shows how many of `unit` are done, their rate and the time that is left."""
        begun: list[tuple[int, float]] = []
        said = [float("-inf")]

        def report(done: int, total: int) -> None:
            now = self._clock()
            begun.append((done, now)) if not begun else None
            fresh, seconds = done - begun[0][0], now - begun[0][1]
            line = f"{name}: {pace(done, total, fresh, seconds, unit)}"
            if self._live.console.is_terminal:
                self._draw(name, done / max(total, 1))
                self._live.update(self._tasks[name], description=line)
            elif done >= total or now - said[0] >= COUNT_SECONDS:
                said[0] = now
                self._live.console.print(line, highlight=False, soft_wrap=True)

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


def pace(done: int, total: int, fresh: int, seconds: float, unit: str) -> str:
    """`12,300 of 117,000 moments, 410/s, 4 min left`; the rate is that of the `fresh` ones, done in `seconds`."""
    text = f"{done:,} of {total:,} {unit}"
    if not fresh or seconds <= 0:
        return text
    rate = fresh / seconds
    text += f", {rate:,.0f}/s" if rate >= 10 else f", {rate:.1f}/s"
    left = (total - done) / rate
    if done >= total:
        return text
    return f"{text}, {left / 60:.0f} min left" if left >= 90 else f"{text}, {left:.0f} s left"


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


def read_parquet(path: Path) -> Any:
    """A file that a user names, as an Arrow table. Raises DataError, in one line, for one that is no Parquet."""
    import pyarrow.parquet as pq

    from cluster.data.files import UNREADABLE
    from cluster.errors import DataError, in_short

    try:
        return pq.read_table(path)
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as Parquet: {in_short(error)}") from None


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
