"""Runs one step as a process: what it says goes on to the screen, and its end, whatever kind, becomes a report."""

import json
import os
import signal
import subprocess  # nosec B404: our own commands
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from apps.loop.rounds import StepReport
from apps.loop.steps import Step
from cluster.processes import marked

MARK = "PINFUNNEL_LOOP"
"""Environment variable by which what a loop has started is told, also when the loop itself has been killed."""
LAST_LINES = 12
GRACE_SECONDS = 20.0
"""From SIGTERM to SIGKILL."""


def run_step(
    step: Step,
    project: Path,
    seconds: float,
    say: Callable[[str], None],
    program: Sequence[str] = (sys.executable, "-P", "-m", "pinfunnel"),
) -> StepReport:
    """The command with the project's file, ended after `seconds`. A step that cannot even begin has failed (code 1).

    It runs in the project's folder, whose own `apps/` or `serving/` must not be taken for ours: hence -P.

    Exit codes below 0 are signals; one that took too long has -15 or -9.
    """
    began = time.monotonic()
    try:
        return _run(step, project, seconds, say, program, began)
    except OSError as error:  # no room for a folder, no memory for a process
        return StepReport(step.name, 1, time.monotonic() - began, (f"the step did not begin: {error}",))


def _run(
    step: Step, project: Path, seconds: float, say: Callable[[str], None], program: Sequence[str], began: float
) -> StepReport:
    last: deque[str] = deque(maxlen=LAST_LINES)
    with tempfile.TemporaryDirectory(prefix="pinfunnel-loop-") as folder:
        figures = Path(folder) / "figures.json"
        command = [*program, *step.arguments, "--project", str(project), "--json", str(figures)]
        process = subprocess.Popen(  # nosec B603: our own commands
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            cwd=project.parent,
            env={**os.environ, MARK: str(project)},
        )
        timer = threading.Timer(seconds, _end, (process, last))
        timer.daemon = True
        timer.start()
        try:
            assert process.stdout is not None
            with process.stdout as said:
                for line in said:
                    last.append(line.rstrip())
                    say(line.rstrip())
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:  # this process is told to stop
                _end(process, last)
        found = _figures(figures)
    lines = tuple(line for line in last if line)
    added = step.adds if code == 0 else None
    return StepReport(step.name, code, time.monotonic() - began, lines, found, added)


def end_left_over(project: Path) -> int:
    """Kill what a loop of this project that was killed itself has left running. How many processes that were."""
    found = set(marked(MARK, str(project))) - {os.getpid()}
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def _end(process: "subprocess.Popen[str]", last: "deque[str]") -> None:
    """All that the step has started, too."""
    last.append("ended: it took longer than loop.step_hours, or the loop was told to stop")
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
        except ProcessLookupError:
            return
        try:
            process.wait(GRACE_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue


def _figures(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
