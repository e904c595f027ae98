"""Before an experiment starts: users it would see and effects it would find, by days, from the project's own logs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from cluster.errors import DataError
from cluster.settings.project import Project
from cluster.store.logs import LogStore
from training.experiments.columns import UnitColumns
from training.experiments.confidence import Confidence
from training.experiments.exposures import look
from training.experiments.lifts import UnitRatio
from training.experiments.nearby import NEARBY_ROWS
from training.experiments.power import smallest_effect, units_needed, variation
from training.experiments.read import moment_of, read_days
from training.experiments.trial import TrialSettings
from training.experiments.unit_moments import UnitMoments
from training.log.spread import in_tasks

LENGTHS = (1, 2, 3, 5, 7, 10, 14, 21, 28, 42, 56)
"""Days that a table has rows for."""


@dataclass(frozen=True)
class PowerRow:
    """What a number of days would show. `needed`: users in each arm that find the effect that was asked for."""

    days: int
    users: int  # of the experiment, all arms
    per_user: float  # the action's mean
    variation: float  # standard deviation of users by their mean, plain
    variation_cuped: float
    smallest: float  # lift found, plain
    smallest_cuped: float
    needed: float
    needed_cuped: float


@dataclass(frozen=True)
class PowerPlan:
    """A table by days, for one action of the clients together."""

    trial: TrialSettings
    effect: float
    power: float
    confidence: Confidence
    logged_days: float
    rows: tuple[PowerRow, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For scripts; what is not known is None."""
        trial = self.trial
        return {
            "clients": list(trial.clients),
            "action": trial.action,
            "traffic": trial.traffic,
            "arms": dict(trial.arms),
            "horizon": trial.horizon,
            "alpha": self.confidence.alpha,
            "power": self.power,
            "effect": self.effect,
            "logged_days": self.logged_days,
            "rows": [{n: (v if np.isfinite(v) else None) for n, v in asdict(row).items()} for row in self.rows],
            "notes": list(self.notes),
        }


def plan_power(
    project: Project,
    logs: LogStore,
    trial: TrialSettings,
    days: int,
    effect: float,
    power: float,
    until: datetime | None = None,
    alpha: float = 0.05,
    local_rows: int = NEARBY_ROWS,
) -> PowerPlan:
    """From the last `days` days of the log, or what there is of them. Large logs need Ray. Raises DataError."""
    files = logs.serving_files(None, None, until)
    seen = look(logs, trial.clients, None, until, map if files.rows <= local_rows else in_tasks)
    if not seen.rows:
        raise DataError(f"the serving log has no requests of {', '.join(trial.clients)}: variance is taken from there")
    ends = seen.ends if until is None else min(seen.ends, moment_of(until))
    begun = max(seen.begins, ends - np.timedelta64(days, "D"))
    logged = float((ends - begun) / np.timedelta64(1, "D"))
    most = max(1, min(days, int(np.ceil(logged - 0.01))))
    lengths = sorted({*(n for n in LENGTHS if n < most), most})
    named = {file.client for file in files.files}
    clients = tuple(client for client in trial.clients if client in named)
    read = read_days(project, logs, clients, (begun.astype(datetime), until), lengths, begun, local_rows)
    if not read.units.arms[most].n:
        raise DataError(
            f"no user of {', '.join(trial.clients)} was answered in the last {days} days of the log: variance is taken "
            "from there, and replayed history has none"
        )
    confidence = Confidence(trial.horizon, alpha).shared(len(trial.arms) - 1)
    rows = tuple(_row(n, read.units.arms[n], read.columns, trial, confidence, effect, power) for n in lengths)
    notes = list(read.notes)
    if logged < 0.99 * days:
        notes.append(
            f"the log has {logged:.1f} of {days} days: longer experiments see more users, and each of them more often"
        )
    return PowerPlan(trial, effect, power, confidence, logged, rows, tuple(notes))


def _row(
    days: int,
    users: UnitMoments,
    columns: UnitColumns,
    trial: TrialSettings,
    confidence: Confidence,
    effect: float,
    power: float,
) -> PowerRow:
    figure: UnitRatio = columns.per_unit(trial.action)
    taken = users.n * trial.traffic
    arms = arm_units(trial.arms, taken)
    plain, cuped = (variation(users, figure, past) for past in ((), columns.covariates(trial.action)))
    return PowerRow(
        days,
        round(taken),
        float(users.mean[figure.top]) if users.n else 0.0,
        plain,
        cuped,
        smallest_effect(plain, arms, confidence, power),
        smallest_effect(cuped, arms, confidence, power),
        units_needed(plain, effect, confidence, power),
        units_needed(cuped, effect, confidence, power),
    )


def arm_units(arms: Mapping[str, float], units: float) -> tuple[float, float]:
    """Units of the control and of the smallest treatment."""
    control, *treatments = arms.values()
    whole = sum(arms.values())
    return units * control / whole, units * min(treatments) / whole
