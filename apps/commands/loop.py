"""loop: upkeep and training on a schedule."""

import os
import signal
import threading
from typing import Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, ProjectFile
from apps.console import console, guarded


def loop(
    project: ProjectFile = DEFAULT_PROJECT,
    once: Annotated[bool, typer.Option("--once", help="one round now; exit code 1 when a step of it failed")] = False,
) -> None:
    """Add new edges, compact the logs, train behind the gate, and prune: every day, say (`loop` in pinfunnel.yaml).

    Each step is a command in a process of its own; one that fails leaves the others to do theirs, and the round is
    tried again. Reports lie in `loop/` below the home; a webhook is told of failures. Killed, it goes on when it is
    started again. As a Ray job: ray job submit --no-wait -- pinfunnel loop --project /srv/pinfunnel.yaml
    """
    with guarded():
        from apps.loop.alert import url_of
        from apps.loop.loop import Loop
        from apps.project import open_project

        settings = open_project(project).project.loop
        url = url_of(settings.webhook_env, os.environ)

        def say(line: str) -> None:
            console.print(line, highlight=False, soft_wrap=True, markup=False)

        rounds = Loop(project, say, url)
        if once:
            if not rounds.once().worked:
                raise typer.Exit(1)
            return
        stop = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: _stop(stop))
        rounds.forever(stop)


def _stop(stop: threading.Event) -> None:
    """The first time after the round, the second time at once."""
    if stop.is_set():
        raise KeyboardInterrupt
    stop.set()
    console.print("stopping after this round; once more to stop now")
