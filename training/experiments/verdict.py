"""What an experiment's report comes to, in words: one line an arm, and the horizon that it holds for."""

from dataclasses import dataclass
from typing import Literal

from training.experiments.lifts import Lift
from training.experiments.report import GuardRow, LiftRow, TrialReport

Word = Literal["better", "worse", "harmful", "open", "withheld"]
"""Beyond doubt more or less of the deciding action; more of it, but a guardrail is hurt; nothing beyond doubt yet."""


@dataclass(frozen=True)
class Conclusion:
    """Of one treatment."""

    arm: str
    word: Word
    text: str


def conclusions(report: TrialReport) -> tuple[Conclusion, ...]:
    """One for each treatment; of a withheld report each says why."""
    treatments = list(report.trial.arms)[1:]
    if report.withheld:
        return tuple(Conclusion(arm, "withheld", f"no verdict: {report.withheld}") for arm in treatments)
    return tuple(_preferred(report) if report.drafts else _concluded(report, arm) for arm in treatments)


def deciding(report: TrialReport, arm: str) -> LiftRow | None:
    """The row that decides about an arm: the first figure of the experiment's action."""
    rows = (row for row in report.lifts if row.arm == arm and row.action == report.trial.action)
    return next(rows, None)


def horizon_said(report: TrialReport) -> str:
    """Which intervals these are, and when they hold."""
    sure = f"{100 * (1 - report.confidence.alpha):.4g} %"
    shared = f", shared by {len(report.trial.arms) - 1} treatments" if len(report.trial.arms) > 2 else ""
    if report.trial.horizon == "sequential":
        return f"always valid: intervals of {sure}{shared} that hold however often they are looked at"
    days = "" if report.trial.days is None else f" of {report.trial.days:g} days"
    return f"fixed horizon{days}: intervals of {sure}{shared} that hold once, at the end"


def lift_said(lift: Lift) -> str:
    """`+1.2 % [−0.3 %, +2.6 %]`, or why there is none."""
    if not lift.known:
        return {1: "more beyond doubt, from nothing", -1: "less beyond doubt, down to nothing"}.get(
            lift.side, "too few"
        )
    return f"{share_said(lift.lift)} [{share_said(lift.low)}, {share_said(lift.high)}]"


def share_said(value: float) -> str:
    """`+1.2 %`, with a real minus."""
    return f"{100 * value:+.1f} %".replace("-", "−")


def _concluded(report: TrialReport, arm: str) -> Conclusion:
    row = deciding(report, arm)
    hurt = [guard for guard in report.guards if guard.arm == arm and guard.harmed]
    if row is None:
        return Conclusion(arm, "open", f"{report.trial.action} is no action of this project")
    lift = row.best
    way = " (CUPED)" if lift is row.cuped else ""
    told = f"{row.figure}{way} {lift_said(lift)} over {next(iter(report.trial.arms))}"
    if lift.sign < 0:
        return Conclusion(arm, "worse", f"worse beyond doubt: {told}{_hurt(hurt)}")
    if hurt:
        first = "better beyond doubt, but harmful" if lift.sign > 0 else "harmful"
        return Conclusion(arm, "harmful", f"{first}: {told}{_hurt(hurt)}")
    if lift.sign > 0:
        return Conclusion(arm, "better", f"better beyond doubt: {told}")
    more = "" if report.trial.horizon == "fixed" else "; it may go on"
    return Conclusion(arm, "open", f"no difference beyond doubt: {told}{more}")


def _hurt(guards: list[GuardRow]) -> str:
    return "".join(f"; {guard.figure} is worse beyond doubt, {lift_said(guard.lift)}" for guard in guards)


def _preferred(report: TrialReport) -> Conclusion:
    control, treatment = report.trial.arms
    row = next((row for row in report.drafts if row.action == report.trial.action), None)
    if row is None:
        return Conclusion(treatment, "open", f"{report.trial.action} is no action of this project")
    found = row.preference
    if not found.lift.known:
        return Conclusion(treatment, "open", f"too few of {row.action} to tell")
    told = f"{100 * found.share:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}] of {row.action} were on its pins"
    if found.lift.sign:
        word: Word = "better" if found.lift.sign > 0 else "worse"
        return Conclusion(treatment, word, f"{word} than {control} beyond doubt: {told}")
    return Conclusion(treatment, "open", f"no preference beyond doubt: {told}")
