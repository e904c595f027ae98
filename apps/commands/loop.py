"""loop, retrain: upkeep and training on a schedule, and all training at once."""

import os
import signal
import threading
from contextlib import suppress
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

        rounds = Loop(project, _say, url)
        if once:
            if not rounds.once().worked:
                raise typer.Exit(1)
            return
        stop = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: _stop(stop))
        rounds.forever(stop)


def retrain(
    project: ProjectFile = DEFAULT_PROJECT,
    full: Annotated[bool, typer.Option(help="the full ranker too, where `loop.full` has it")] = True,
) -> None:
    """Train every model from the logs, once: lightweight rankers, the full ranker, learned quotas.

    These are the training steps of a round of `pinfunnel loop`, each a process of its own behind its gate; one that
    fails leaves the others to do theirs, and the exit code is 1 then.
    """
    with guarded():
        from apps.loop.process import run_step
        from apps.loop.steps import full_left_out, training_steps
        from apps.project import open_project
        from cluster.store.bundles import BundleStore
        from cluster.store.home import bundles_root

        opened = open_project(project)
        wanted = full and opened.project.loop.full
        if lacking := full_left_out(wanted, BundleStore(bundles_root(opened.project.home))):
            _say(lacking)
        failed = []
        for step in training_steps(opened.clients, wanted and not lacking):
            _say(f"$ pinfunnel {step.name}")
            done = run_step(step, project.resolve(), 3600.0 * opened.project.loop.step_hours, _say)
            failed += [step.name] if done.failed else []
        if failed:
            _say(f"failed: {', '.join(failed)} (why, says what is printed behind it)")
            raise typer.Exit(1)


def _say(line: str) -> None:
    with suppress(OSError):  # it may go into a file on a disk that is full, which ends no night
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _stop(stop: threading.Event) -> None:
    """The first time after the round, the second time at once."""
    if stop.is_set():
        raise KeyboardInterrupt
    stop.set()
    console.print("stopping after this round; once more to stop now")
