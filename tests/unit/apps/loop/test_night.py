"""A whole night in half a minute: many rounds, the loop killed, a step that raises, a disk that takes nothing."""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
import yaml

from apps.loop.process import MARK
from apps.loop.rounds import RoundReport, Rounds
from cluster import kinds
from cluster.processes import marked
from cluster.store.bundles import BundleStore
from tests.unit.apps.loop.test_loop import Hook
from tests.worlds.toy import toy_project

ROOT = Path(__file__).parents[4]
HOUR = 3600.0
NIGHT = {"every_hours": 0.5 / HOUR, "retry_minutes": 0.2 / 60, "graph": "add", "new_edges": "arriving"}


class Night:
    """A project, its loop as a process, and what came of it."""

    def __init__(self, folder: Path, url: str):
        self.project = toy_project(folder)
        settings = yaml.safe_load(self.project.read_text()) | {"home": "home", "loop": NIGHT}
        self.project.write_text(yaml.safe_dump(settings))
        self.folder = self.project.parent
        (self.folder / "arriving").mkdir()
        self.fail("")
        store = BundleStore(self.folder / "home" / "bundles")
        with store.write(kinds.GRAPH, {}) as (_, version):
            pass  # nothing reads it; without one the loop would build
        store.publish(kinds.GRAPH, version)
        self._url = url
        self.said: list[str] = []
        self.loop = self.start()

    def start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", "-m", "tests.worlds.night", str(self.project), self._url]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.loop = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder, env=environment
        )
        threading.Thread(target=self._read, args=(self.loop.stdout,), daemon=True).start()
        return self.loop

    def _read(self, said: IO[str]) -> None:
        with said:
            self.said.extend(said)

    def fail(self, step: str) -> None:
        """Which step raises from now on."""
        (self.folder / "aside").write_text(step)
        (self.folder / "aside").replace(self.folder / "fails")

    def rounds(self) -> list[RoundReport]:
        return Rounds(self.folder / "home" / "loop").read()

    def await_more(self, wanted: Callable[[RoundReport], bool], number: int = 2) -> None:
        """Until so many rounds more are like that."""
        before = self.rounds()

        def more() -> bool:
            return len([each for each in self.rounds() if wanted(each)]) >= number + len(list(filter(wanted, before)))

        self.until(more)

    def until(self, true: Callable[[], bool]) -> None:
        for _ in range(2400):
            if true():
                return
            assert self.loop.poll() is None, f"the loop has ended: {self.said[-20:]}"
            time.sleep(0.05)
        raise AssertionError(f"it never came true: {self.said[-20:]}")


def worked(report: RoundReport) -> bool:
    return report.worked


def failed(report: RoundReport) -> bool:
    return report.ended is not None and not report.worked


def ended(report: RoundReport) -> bool:
    return report.ended is not None


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_a_night_of_rounds_bears_its_own_failures(tmp_path: Path) -> None:
    with Hook() as hook:
        night = Night(tmp_path, hook.url)
        try:
            night.await_more(worked, 3)
            (night.folder / "arriving" / "evening.parquet").touch()
            night.await_more(worked)

            night.loop.kill()  # in the midst of whatever it does
            night.loop.wait()
            night.start()
            night.await_more(worked)
            assert hook.told == []

            night.fail("train full")
            night.await_more(failed)
            night.fail("")
            night.until(lambda: len(hook.told) > 1 and bool(hook.told[-1]["worked"]))
            assert {step for told in hook.told for step in told["failed"]} == {"train full"}

            resource.prlimit(night.loop.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            night.until(lambda: "the report is written once the disk takes it" in str(night.said))
            (night.folder / "arriving" / "morning.parquet").touch()
            resource.prlimit(night.loop.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            night.await_more(worked)
            night.loop.terminate()
            assert night.loop.wait(60) == 0
        finally:
            night.loop.kill()
            night.loop.wait()
    rounds = night.rounds()
    assert len([each for each in rounds if not ended(each)]) <= 1, "the one that was killed, if it was in one"
    assert len(list(filter(worked, rounds))) >= 9
    done = (night.folder / "done").read_text().splitlines()
    for name in ("evening", "morning"):
        (path,) = {line for line in done if line.startswith("add-edges") and f"{name}.parquet" in line}
        assert done.count(path) == 1, "each file is added once"
    assert marked(MARK, str(night.project)) == []
