"""Answers of a batch and of HTTP: CPU of each, on the same site and for the same users.

python -m apps.bench.serving.batch [--quick] [--work FOLDER] [--json OUT]
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
import yaml

from apps.batch.answerer import Answerer
from apps.batch.plan import BatchPlan, digest_of
from apps.batch.run import known_states
from apps.bench.machine import machine
from apps.bench.processes import tree_cpu
from apps.bench.serving.load import load
from apps.bench.serving.serve import served
from apps.bench.serving.site import ABOUT, CLIENT, site
from apps.console import write_json
from apps.project import open_project


def run(quick: bool = False, work: Path | None = None) -> dict[str, Any]:
    """CPU milliseconds an answer, of a batch in one process and of a whole server."""
    with TemporaryDirectory(prefix="bench-batch-") as scratch:
        path = site(work or Path(scratch), quick)
        users = yaml.safe_load((path.parent / ABOUT).read_text())["users"]
        batch = _batch(path, users, 3, 40 if quick else 500)
        http = _http(path, users, *((5.0, 3.0) if quick else (10.0, 30.0)))
    return {"machine": machine(), "ms": {"batch": batch, "http": http}, "ratio": http / batch}


def _batch(path: Path, users: int, rounds: int, size: int) -> float:
    """The median of rounds after a first one that warms up; log rows and answers written, as `recommend` does."""
    opened = open_project(path)
    ids = np.random.default_rng(5).permutation(users)[: size * (rounds + 1)].astype(np.int64)
    plan = BatchPlan(CLIENT, "user", int(time.time() * 1e6), len(ids), digest_of(ids), piece=size)
    took = []
    with TemporaryDirectory(prefix="bench-answers-") as out, known_states(opened, plan) as states:
        answerer = Answerer(opened, replace(plan, salt="bench"), Path(out), states)
        for piece in range(plan.pieces):
            before = time.process_time()
            answerer.answer_piece(piece, plan.ids_of(piece, ids))
            took.append(1e3 * (time.process_time() - before) / size)
        answerer.close()
    return median(took[1:])


def _http(path: Path, users: int, rate: float, seconds: float) -> float:
    """Of all the server's processes; without those that send."""
    with served("colocated", path) as (url, pid):
        load(url, rate, seconds / 3, users, seed=1)
        before = tree_cpu(pid)
        outcome = load(url, rate, seconds, users, seed=2)
        return 1e3 * (tree_cpu(pid) - before) / max(outcome.answered, 1)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="a small site, few answers: shows that it runs")] = False,
    work: Annotated[Path | None, typer.Option(help="where the site is built, and kept")] = None,
    json_out: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure, print, write."""
    found = run(quick, work)
    sys.stdout.write(yaml.safe_dump(found, sort_keys=False))
    write_json(json_out, found)


if __name__ == "__main__":
    typer.run(main)
