"""A loop whose rounds take a second: `python -m tests.worlds.night PROJECT [URL]`, as a process that can be killed.

Its steps are processes that note in `done` what they were told to do; the one that is named in `fails` raises.
"""

import signal
import sys
import threading
from pathlib import Path

from apps.loop.loop import Loop
from apps.loop.process import run_step
from apps.loop.rounds import StepReport
from apps.loop.steps import Step

STEP = """
import sys
name = " ".join(sys.argv[1 : sys.argv.index("--project")])
if name and name == open("fails").read():
    raise RuntimeError("this step does not work tonight")
with open("done", "a") as done:
    done.write(name + "\\n")
"""


def main(project: Path, url: str | None) -> None:
    def run(step: Step) -> StepReport:
        return run_step(step, project, 60.0, print, (sys.executable, "-S", "-c", STEP))

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Loop(project, lambda line: print(line, flush=True), url, run).forever(stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
