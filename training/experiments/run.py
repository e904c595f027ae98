"""An experiment's report from a project's logs; every way that there can be none is one clear line."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from cluster.errors import DataError
from cluster.settings.project import Project
from cluster.store.logs import LogStore
from training.experiments.exposures import Exposures, look
from training.experiments.finish import Finished
from training.experiments.labels import GONE
from training.experiments.nearby import NEARBY_ROWS
from training.experiments.read import Span, UnitsRead, moment_of, read_trial
from training.experiments.report import TrialReport, report_of
from training.experiments.trial import TrialSettings
from training.experiments.unit_moments import UnitMoments
from training.log.spread import in_tasks

NEARLY = 0.99
"""Share of a fixed horizon after which it counts as over: the last request comes before the last minute."""


def run_report(
    project: Project,
    logs: LogStore,
    trial: TrialSettings,
    since: datetime | None = None,
    until: datetime | None = None,
    carry_over: float = 0.0,
    local_rows: int = NEARBY_ROWS,
) -> TrialReport:
    """A log of more than `local_rows` rows needs Ray. Raises DataError where the log has nothing to report."""
    rows = logs.serving_files(None, None, until).rows
    seen = look(logs, trial.clients, None, until, map if rows <= local_rows else in_tasks)
    begun = first_exposure(trial, seen, until)
    late = since is not None and bool(moment_of(since) > begun)
    until = _horizon(trial, begun, until)
    span: Span = (since, until)
    logged = {file.client for file in logs.serving_files(None, since, until).files}
    mine = replace(trial, clients=tuple(client for client in trial.clients if client in logged))
    if not mine.clients:
        raise DataError(f"experiment {trial.name}: its clients have no requests in the time asked for")
    read = read_trial(project, logs, mine, span, begun, carry_over, local_rows)
    ends = min(moment_of(until), seen.ends) if until is not None else seen.ends
    days = float((ends - max(begun, moment_of(since) if since is not None else begun)) / np.timedelta64(1, "D"))
    if trial.days is not None and trial.horizon == "fixed" and days >= NEARLY * trial.days:
        days = trial.days
    return report_of(
        trial,
        read.columns,
        _by_name(trial, read),
        days,
        project.negative_actions,
        in_two=read.units.in_two,
        examples=read.units.examples,
        past=not late,
        notes=(*_notes(trial, seen, read.units, late), *read.notes),
    )


def first_exposure(trial: TrialSettings, seen: Exposures, until: datetime | None = None) -> np.datetime64:
    """When the log first names the experiment. Raises DataError where it never does, and says why."""
    if trial.name in seen.first:
        return seen.first[trial.name]
    clients = ", ".join(trial.clients)
    if not seen.rows:
        when = "" if until is None else f" before {until:%Y-%m-%d %H:%M}"
        raise DataError(f"experiment {trial.name}: the serving log has no requests of {clients}{when}")
    if seen.silent == seen.rows:
        raise DataError(
            f"experiment {trial.name}: the serving log of {clients} has no column `exposure`: it was written before "
            "there were experiments; requests that are served from now on have it"
        )
    others = ", ".join(sorted(seen.requests)) or "none"
    raise DataError(
        f"experiment {trial.name}: no request of {clients} was exposed to it ({seen.rows:,} were seen; exposed to: "
        f"{others}): is it started, and does its traffic reach anybody?"
    )


def _horizon(trial: TrialSettings, begun: np.datetime64, until: datetime | None) -> datetime | None:
    """A fixed horizon ends the report, however much more was logged."""
    if trial.horizon != "fixed" or trial.days is None:
        return until
    end = begun.astype(datetime).replace(tzinfo=UTC) + timedelta(days=trial.days)
    return end if until is None else min(end, until)


def _by_name(trial: TrialSettings, read: UnitsRead) -> dict[str, UnitMoments]:
    nobody = UnitMoments.none(len(read.columns.names))
    return {name: read.units.arms.get(number, nobody) for number, name in enumerate(trial.arms)}


def _notes(trial: TrialSettings, seen: Exposures, units: Finished, late: bool) -> Sequence[str]:
    notes = []
    if units.in_two:
        some = ", ".join(units.examples)
        notes.append(f"{units.in_two:,} {trial.unit} were seen in two arms and count in none, like {some}")
    if GONE in units.arms:
        known = {*trial.arms}
        gone = sorted({*seen.requests[trial.name]} - known)
        notes.append(
            f"{units.arms[GONE].n:,} {trial.unit} were exposed to arms that the definition does not have "
            f"({', '.join(gone)}) and are left out"
        )
    if seen.silent:
        notes.append(f"{seen.silent:,} of {seen.rows:,} requests were logged before there were experiments")
    if late:
        notes.append(
            "no CUPED: --since leaves out the experiment's beginning, so what users did before is not untouched by it"
        )
    return notes
