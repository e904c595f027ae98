"""The experiments view: which run and ran, what the log has of them, and the last report of each.

A small log is reported anew for every look; of a large one the report that `pinfunnel experiment report` made last.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from apps.web.drawing import Templates
from cluster.errors import PinfunnelError
from cluster.settings.project import Project
from cluster.store.logs import LogStore
from training.experiments.exposures import Exposures, look
from training.experiments.kept import kept_report
from training.experiments.known import KnownExperiment, started_experiments, trial_of
from training.experiments.report import as_json
from training.experiments.run import run_report

DAYS = 2
"""Of the newest logs whose exposures are counted in the list."""
FEW_ROWS = 5_000
"""Requests and events up to which a look makes a report of its own."""
MOST_ROWS = 500_000
"""Requests of those days up to which exposures are counted."""


@dataclass(frozen=True)
class ArmLine:
    """An arm of an experiment, what it sets, and what the newest logs have of it (None: not counted)."""

    name: str
    share: float
    sets: tuple[tuple[str, str], ...]
    requests: int | None


@dataclass(frozen=True)
class ExperimentLine:
    """An experiment of the list."""

    known: KnownExperiment
    arms: tuple[ArmLine, ...]
    last: datetime | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.known.experiment.name


@dataclass(frozen=True)
class ExperimentPage:
    """One experiment: its line, and a report as JSON has it, or why there is none."""

    line: ExperimentLine
    report: Mapping[str, Any] | None
    made: str
    why: str


def list_experiments(project: Project, logs: LogStore) -> tuple[ExperimentLine, ...]:
    """All that were started, those that run first."""
    known = started_experiments(project)
    seen = _newest(logs, sorted({client for one in known.values() for client in one.experiment.clients}))
    return tuple(_line(one, seen) for one in known.values())


def one_experiment(project: Project, logs: LogStore, name: str, few_rows: int = FEW_ROWS) -> ExperimentPage:
    """One by name, with a report: of a log of up to `few_rows` a new one. Raises KeyError without such a name."""
    known = started_experiments(project)[name]
    line = _line(known, _newest(logs, known.experiment.clients))
    if logs.serving_files().rows + logs.event_files().rows > few_rows:
        kept = kept_report(project, name)
        why = "" if kept else f"The log is large, and no report was made yet: run pinfunnel experiment report {name}"
        return ExperimentPage(line, kept, str(kept["made"]) if kept else "", why)
    try:
        report = as_json(run_report(project, logs, trial_of(known.experiment), local_rows=2 * few_rows))
    except PinfunnelError as error:
        return ExperimentPage(line, None, "", str(error))
    return ExperimentPage(line, report, "now", "")


def _newest(logs: LogStore, clients: list[str] | tuple[str, ...]) -> Exposures | None:
    """Exposures of the newest days of the log; None where there are too many to count for a page."""
    dates = logs.dates()
    if not dates or not clients:
        return Exposures()
    since = datetime.fromisoformat(dates[-1]).replace(tzinfo=UTC) - timedelta(days=DAYS - 1)
    if logs.serving_files(None, since).rows > MOST_ROWS:
        return None
    return look(logs, clients, since)


def _line(known: KnownExperiment, seen: Exposures | None) -> ExperimentLine:
    experiment = known.experiment
    counted = None if seen is None else seen.requests.get(experiment.name, {})
    arms = tuple(
        ArmLine(
            name,
            experiment.shares[name],
            tuple((path, str(value)) for path, value in {**arm.set, **arm.versions}.items()),
            None if counted is None else counted.get(name, 0),
        )
        for name, arm in experiment.arms.items()
    )
    last = None if seen is None or experiment.name not in seen.last else seen.last[experiment.name]
    return ExperimentLine(known, arms, None if last is None else last.astype(datetime))


class ExperimentPages:
    """Endpoints."""

    def __init__(self, templates: Templates, project: Project, logs: LogStore):
        self._templates = templates
        self._project = project
        self._logs = logs

    async def all(self, request: Request) -> Response:
        """The list."""
        lines = await asyncio.to_thread(list_experiments, self._project, self._logs)
        return self._templates.page(request, "experiments.html", {"lines": lines, "days": DAYS})

    async def one(self, request: Request) -> Response:
        """One with its report."""
        name = request.query_params.get("name", "")
        try:
            page = await asyncio.to_thread(one_experiment, self._project, self._logs, name)
        except KeyError:
            raise HTTPException(404, f"no experiment {name[:64]!r} was started") from None
        return self._templates.page(request, "experiments_one.html", {"page": page, "days": DAYS})
