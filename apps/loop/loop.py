"""Rounds, one after the other, as the schedule says. All it knows lies in files, so it goes on where it was killed."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from apps.loop.alert import tell, worth_telling
from apps.loop.process import end_left_over, run_step
from apps.loop.rounds import RoundReport, Rounds, StepReport, due, taken
from apps.loop.steps import Step, arrived, full_left_out, steps_of
from apps.project import Opened, open_project
from cluster import kinds
from cluster.errors import ConfigError
from cluster.fresh.log import FreshLog
from cluster.store.bundles import BundleStore
from cluster.store.disk import make_folders
from cluster.store.home import bundles_root

Run = Callable[[Step], StepReport]

POLL_SECONDS = 60.0
"""At most so long is slept at a time: the clock may step, the settings change."""


class Loop:
    """Of one project. `run` does a step; by default as a process."""

    def __init__(self, path: Path, say: Callable[[str], None], url: str | None = None, run: Run | None = None):
        self._path = path.resolve()
        self._say = say
        self._url = url
        self._run = run or self._as_process
        self._last_opened: Opened | None = None
        self._folder = Path(self._opened().project.local_home) / "loop"
        self._rounds = Rounds(self._folder)

    def forever(self, stop: threading.Event) -> None:
        """Rounds as they are due, until `stop`. Raises ConfigError where another loop has the project."""
        with self._alone():
            while not stop.is_set():
                at = due(self._rounds.read(), self._opened().project.loop)
                if (wait := (at - datetime.now(UTC)).total_seconds()) > 0:
                    stop.wait(min(wait, POLL_SECONDS))
                    continue
                self._round()
                self._say(f"next round: {due(self._rounds.read(), self._opened().project.loop):%Y-%m-%d %H:%M} UTC")

    def once(self) -> RoundReport:
        """One round now. Raises ConfigError where another loop has the project."""
        with self._alone():
            return self._round()

    def _round(self) -> RoundReport:
        known = self._rounds.read()
        report = RoundReport(datetime.now(UTC).isoformat(timespec="milliseconds"))
        self._write(report)
        for step in self._steps(known):
            self._say(f"$ pinfunnel {step.name}")
            done = self._run(step)
            self._say(f"  {'failed' if done.failed else 'done'} after {done.seconds:.0f} s")
            report = replace(report, steps=(*report.steps, done))
            self._write(report)
        report = replace(report, ended=datetime.now(UTC).isoformat(timespec="seconds"))
        self._write(report)
        self._say(report.text())
        if self._url is not None and worth_telling(known[-1] if known else None, report):
            tell(self._url, str(self._path), report)
        return report

    def _write(self, report: RoundReport) -> None:
        if refused := self._rounds.write(report):
            self._say(f"the report is written once the disk takes it: {refused}")

    def _steps(self, known: list[RoundReport]) -> list[Step]:
        opened = self._opened()
        settings = opened.project.loop
        files = arrived(settings.new_edges, taken(known))
        store = BundleStore(bundles_root(opened.project.home))
        has_graph = store.current(kinds.GRAPH) is not None
        if lacking := full_left_out(settings.full, store):
            self._say(lacking)
            settings = settings.model_copy(update={"full": False})
        return steps_of(settings, opened.clients, files, has_graph, bool(FreshLog(opened.project).entries()))

    def _as_process(self, step: Step) -> StepReport:
        return run_step(step, self._path, 3600.0 * self._opened().project.loop.step_hours, self._say)

    def _opened(self) -> Opened:
        """As the file is now; while it is broken as it was before: the steps fail then, and say why."""
        try:
            self._last_opened = open_project(self._path)
        except ConfigError as error:
            if self._last_opened is None:
                raise
            self._say(f"going on by the settings of before: {error}")
        return self._last_opened

    @contextmanager
    def _alone(self) -> Iterator[None]:
        make_folders(self._folder)
        with (self._folder / ".lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                raise ConfigError(f"another `pinfunnel loop` ({lock.read().strip()}) has this project") from None
            with suppress(OSError):  # a full disk; the lock holds without a name in it
                lock.truncate(0)
                os.write(lock.fileno(), f"process {os.getpid()}".encode())
            if left := end_left_over(self._path):
                self._say(f"ended {left} processes of a loop that was killed")
            yield
