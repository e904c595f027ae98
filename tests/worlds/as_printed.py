"""What README.md prints, run in one process with whatever pinfunnel is installed. Imports nothing of the tests.

python tests/worlds/as_printed.py README commands    in a folder with pinfunnel.yaml: the ten lines of "Your own data"
python tests/worlds/as_printed.py README demo        in an empty folder: the demo, smaller

The last line that it prints is JSON: exit code and text by command, or what came of the demo.
"""

import io
import json
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

LONG_RUNNING = "serve"
"""Ends with Ctrl-C alone; the demo starts a server, too."""


def printed(readme: str) -> list[str]:
    """The commands of the section on one's own data, each without `pinfunnel`."""
    section = readme.partition("## Your own data")[2].partition("\n## ")[0]
    lines = [line.partition("#")[0].strip() for line in section.splitlines() if line.startswith("    pinfunnel ")]
    single = [one.strip() for line in lines for one in line.split("&&")]
    return [one.removeprefix("pinfunnel ") for one in single]


def run_commands(readme: Path) -> dict[str, Any]:
    """Exit code and text by command, in the order of the page, on one Ray."""
    from apps.cli import app
    from cluster import session

    told = {}
    with session.session(num_cpus=2, dashboard=False):
        for command in printed(readme.read_text()):
            if command == LONG_RUNNING:
                continue
            text = io.StringIO()
            with redirect_stdout(text), redirect_stderr(text):
                code = app(shlex.split(command), standalone_mode=False)
            told[command] = [code or 0, text.getvalue()[-2000:]]
    return told


def run_demo() -> dict[str, Any]:
    """Its figures, and all that it says."""
    from rich.console import Console

    from apps.demo.demo import DemoSize, run
    from cluster import session

    session.set_flags()
    said = io.StringIO()
    size = DemoSize(pins=800, boards=250, users=120, cold=300, warm=60, measured=120)
    result = run("demo", size, console=Console(file=said, width=200))
    return {**result.as_json(), "said": said.getvalue()}


if __name__ == "__main__":
    page, what = Path(sys.argv[1]), sys.argv[2]
    print(json.dumps(run_commands(page) if what == "commands" else run_demo()))
