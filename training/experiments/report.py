"""An experiment's report: arms and their shares, lifts, guardrails, and a verdict with the horizon that it holds for.

Made of moments alone; knows nothing of logs or Ray.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.experiments.columns import DEGRADED, MILLISECONDS, UnitColumns
from training.experiments.confidence import Confidence
from training.experiments.lifts import Lift, UnitRatio, lift_of
from training.experiments.preference import Preference, preference
from training.experiments.sample_ratio import SampleRatio, sample_ratio
from training.experiments.trial import TrialSettings
from training.experiments.unit_moments import UnitMoments

FEWEST_FOR_CUPED = 100
"""Units in each arm; below, weights fitted to the past would make intervals too narrow."""


@dataclass(frozen=True)
class ArmSeen:
    """An arm, and what was seen of it."""

    name: str
    weight: float
    units: int
    requests: int
    shown: int


@dataclass(frozen=True)
class LiftRow:
    """A figure of a treatment beside the control's, plain and by CUPED where the past is known."""

    arm: str
    figure: str
    action: str
    plain: Lift
    cuped: Lift | None

    @property
    def best(self) -> Lift:
        """The one that decides: CUPED's where there is one."""
        return self.cuped if self.cuped is not None and self.cuped.known else self.plain


@dataclass(frozen=True)
class GuardRow:
    """A figure that may not become worse: `bad` is 1 where more is worse, else -1."""

    arm: str
    figure: str
    bad: int
    lift: Lift

    @property
    def harmed(self) -> bool:
        """Whether it is worse beyond doubt."""
        return self.lift.sign == self.bad


@dataclass(frozen=True)
class DraftRow:
    """Whose pins users acted on, of an interleaving."""

    action: str
    shown: tuple[int, int]  # pins that the control's team and the treatment's brought
    preference: Preference


@dataclass(frozen=True)
class TrialReport:
    """All of it. `withheld` says why nothing may be concluded; empty when something may."""

    trial: TrialSettings
    confidence: Confidence
    days: float
    arms: tuple[ArmSeen, ...]
    sample_ratio: SampleRatio
    in_two: int
    examples: tuple[str, ...]
    lifts: tuple[LiftRow, ...]
    guards: tuple[GuardRow, ...]
    drafts: tuple[DraftRow, ...]
    withheld: str
    notes: tuple[str, ...] = field(default=())


def report_of(
    trial: TrialSettings,
    columns: UnitColumns,
    arms: Mapping[str, UnitMoments],
    days: float,
    negative: Sequence[str],
    alpha: float = 0.05,
    in_two: int = 0,
    examples: tuple[str, ...] = (),
    past: bool = True,
    notes: tuple[str, ...] = (),
) -> TrialReport:
    """From the moments of each arm (of an interleaving: of all users, under any one name).

    `days` that the experiment ran; `negative` actions; `past`: whether what units did before is untouched by it.
    """
    control, *treatments = trial.arms
    drafted = trial.design == "interleaving"
    confidence = Confidence(trial.horizon, alpha).shared(len(treatments))
    seen = () if drafted else tuple(_seen(name, trial.arms[name], arms[name], columns) for name in trial.arms)
    ratio = sample_ratio({arm.name: arm.units for arm in seen}, {} if drafted else trial.arms)
    rows: list[LiftRow] = []
    guards: list[GuardRow] = []
    for name in () if drafted else treatments:
        pair = arms[control], arms[name]
        cuped = past and trial.design == "users" and min(pair[0].n, pair[1].n) >= FEWEST_FOR_CUPED
        for action in columns.actions:
            for figure in _figures(trial, columns, action):
                better = lift_of(*pair, figure, confidence, columns.covariates(action)) if cuped else None
                rows.append(LiftRow(name, figure.name, action, lift_of(*pair, figure, confidence), better))
        for guard in trial.guardrails:
            figure, bad = _guard(guard, trial, columns, negative)
            action_named = guard if guard in columns.actions else None
            covariates = columns.covariates(action_named) if cuped and action_named else ()
            guards.append(GuardRow(name, figure.name, bad, lift_of(*pair, figure, confidence, covariates)))
    drafts = _drafts(columns, next(iter(arms.values())), confidence) if drafted and arms else ()
    return TrialReport(
        trial,
        confidence,
        days,
        seen,
        ratio,
        in_two,
        examples,
        tuple(rows),
        tuple(guards),
        drafts,
        _withheld(trial, ratio, seen, days),
        notes,
    )


def _seen(name: str, weight: float, units: UnitMoments, columns: UnitColumns) -> ArmSeen:
    requests, shown = (round(units.total[columns.at(column)]) for column in ("requests", "shown"))
    return ArmSeen(name, weight, units.n, requests, shown)


def _figures(trial: TrialSettings, columns: UnitColumns, action: str) -> tuple[UnitRatio, UnitRatio]:
    first = columns.per_request if trial.design == "switchback" else columns.per_unit
    return first(action), columns.per_pin(action)


def _guard(name: str, trial: TrialSettings, columns: UnitColumns, negative: Sequence[str]) -> tuple[UnitRatio, int]:
    """The figure of a guardrail, and which way is worse."""
    if name == MILLISECONDS:
        return columns.milliseconds(), 1
    if name == DEGRADED:
        return columns.degraded(), 1
    return _figures(trial, columns, name)[0], 1 if name in negative else -1


def _drafts(columns: UnitColumns, users: UnitMoments, confidence: Confidence) -> tuple[DraftRow, ...]:
    brought = tuple(round(users.total[columns.at(f"team {team} shown")]) for team in (0, 1))
    rows = []
    for action in columns.actions:
        teams = [columns.at(f"team {team} {action}") for team in (0, 1)]
        rows.append(DraftRow(action, (brought[0], brought[1]), preference(users, teams[0], teams[1], confidence)))
    return tuple(rows)


def _withheld(trial: TrialSettings, ratio: SampleRatio, seen: Sequence[ArmSeen], days: float) -> str:
    if ratio.failed:
        told = ", ".join(f"{arm}: {n:,} for {ratio.expected[arm]:,.0f} expected" for arm, n in ratio.seen.items())
        return (
            f"the arms' {trial.unit} are not in the shares that they were given ({told}; p = {ratio.p:.1g}): "
            "assignment or logging is broken, so no figure below can be trusted"
        )
    if silent := [arm.name for arm in seen if not arm.units]:
        return f"no {trial.unit} were seen in arm {', '.join(silent)}: there is nothing to compare"
    if trial.horizon == "fixed" and trial.days is not None and days < trial.days:
        return f"{days:.1f} of {trial.days:g} days have passed: a fixed horizon is read once, at its end"
    return ""


def as_json(report: TrialReport) -> dict[str, Any]:
    """For scripts."""
    from training.experiments.verdict import conclusions, horizon_said

    trial = report.trial
    return {
        "experiment": trial.name,
        "clients": list(trial.clients),
        "design": trial.design,
        "traffic": trial.traffic,
        "days": report.days,
        "horizon": {
            "kind": trial.horizon,
            "days": trial.days,
            "alpha": report.confidence.alpha,
            "said": horizon_said(report),
        },
        "arms": {
            arm.name: {"weight": arm.weight, trial.unit: arm.units, "requests": arm.requests, "shown": arm.shown}
            for arm in report.arms
        },
        "sample_ratio": {
            "p": report.sample_ratio.p,
            "expected": dict(report.sample_ratio.expected),
            "failed": report.sample_ratio.failed,
        },
        "in_two_arms": {"count": report.in_two, "examples": list(report.examples)},
        "lifts": [
            {
                "arm": row.arm,
                "figure": row.figure,
                "action": row.action,
                "plain": row.plain.to_dict(),
                "cuped": row.cuped and row.cuped.to_dict(),
            }
            for row in report.lifts
        ],
        "guardrails": [
            {"arm": row.arm, "figure": row.figure, "harmed": row.harmed, **row.lift.to_dict()} for row in report.guards
        ],
        "preferences": [
            {"action": row.action, "shown": list(row.shown), **row.preference.to_dict()} for row in report.drafts
        ],
        "withheld": report.withheld,
        "verdicts": [{"arm": said.arm, "word": said.word, "text": said.text} for said in conclusions(report)],
        "notes": list(report.notes),
    }
