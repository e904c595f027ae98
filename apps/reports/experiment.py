"""An experiment's report, and a power calculation, for a terminal: tables, and lines around them."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from training.experiments.off_policy import PolicyValue
from training.experiments.plan import PowerPlan
from training.experiments.preference import Preference
from training.experiments.report import TrialReport
from training.experiments.verdict import conclusions, horizon_said, lift_said, share_said

ARM_HEADS = ("arm", "share", "expected", "requests", "pins shown")
LIFT_HEADS = ("figure", "arm", "control", "treatment", "lift", "lift with CUPED")
GUARD_HEADS = ("guardrail", "arm", "control", "treatment", "lift", "")
DRAFT_HEADS = ("action", "of the control's pins", "of the treatment's", "share of the treatment")
POWER_HEADS = ("days", "users", "actions a user", "smallest lift found", "with CUPED", "users an arm", "with CUPED ")


def headline(report: TrialReport) -> list[str]:
    """Above the tables: what was decided, and by what rule. A failed sample-ratio check comes first."""
    trial = report.trial
    lines = [f"{trial.name}: {', '.join(trial.clients)}; {trial.design}; {report.days:.1f} days"]
    lines += [f"{said.arm}: {said.text}" for said in conclusions(report)]
    lines.append(horizon_said(report))
    return lines


def sample_ratio_said(report: TrialReport) -> str:
    """The check in one line."""
    word = "FAILED" if report.sample_ratio.failed else "as expected"
    return f"sample ratio {word} (chi-squared, p = {report.sample_ratio.p:.2g})"


def arm_rows(report: TrialReport) -> list[tuple[str, ...]]:
    """Units by arm beside those expected."""
    expected = report.sample_ratio.expected
    return [
        (arm.name, f"{arm.units:,}", f"{expected[arm.name]:,.0f}", f"{arm.requests:,}", f"{arm.shown:,}")
        for arm in report.arms
    ]


def lift_rows(report: TrialReport) -> list[tuple[str, ...]]:
    """A row a figure and treatment."""
    return [
        (
            row.figure,
            row.arm,
            figure_said(row.plain.control),
            figure_said(row.plain.treatment),
            lift_said(row.plain),
            lift_said(row.cuped) if row.cuped is not None else "–",
        )
        for row in report.lifts
    ]


def guard_rows(report: TrialReport) -> list[tuple[str, ...]]:
    """A row a guardrail and treatment."""
    return [
        (
            row.figure,
            row.arm,
            figure_said(row.lift.control),
            figure_said(row.lift.treatment),
            lift_said(row.lift),
            "WORSE" if row.harmed else "no harm beyond doubt",
        )
        for row in report.guards
    ]


def draft_rows(report: TrialReport) -> list[tuple[str, ...]]:
    """A row an action, of an interleaving."""
    return [
        (
            row.action,
            f"{row.preference.lift.control:.4g} a user",
            f"{row.preference.lift.treatment:.4g} a user",
            preference_said(row.preference),
        )
        for row in report.drafts
    ]


def preference_said(found: Preference) -> str:
    """`52.0 % [51.2, 52.8]`."""
    if not found.lift.known:
        return "too few"
    return f"{100 * found.share:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def figure_said(value: float) -> str:
    """A figure itself."""
    return "–" if value != value else f"{value:.4g}"


def report_tables(report: TrialReport) -> list[Table]:
    """All tables that say something."""
    unit = report.trial.unit
    parts: list[tuple[str, Sequence[str], list[tuple[str, ...]]]] = [
        (f"{unit} by arm: {sample_ratio_said(report)}", ("arm", unit, *ARM_HEADS[2:]), arm_rows(report)),
        ("lifts over the control", LIFT_HEADS, lift_rows(report)),
        ("guardrails", GUARD_HEADS, guard_rows(report)),
        ("whose pins users acted on", DRAFT_HEADS, draft_rows(report)),
    ]
    return [_table(title, heads, rows) for title, heads, rows in parts if rows]


def power_rows(plan: PowerPlan) -> list[tuple[str, ...]]:
    """A row a number of days."""
    return [
        (
            f"{row.days}",
            f"{row.users:,}",
            f"{row.per_user:.4g}",
            _found(row.smallest),
            _found(row.smallest_cuped),
            _needed(row.needed),
            _needed(row.needed_cuped),
        )
        for row in plan.rows
    ]


def power_said(plan: PowerPlan) -> str:
    """What the table is of."""
    trial = plan.trial
    kind = "always-valid intervals" if trial.horizon == "sequential" else "a fixed horizon"
    return (
        f"{trial.action} per user on {', '.join(trial.clients)}: {100 * trial.traffic:g} % of users in "
        f"{len(trial.arms)} arms, {100 * plan.power:g} % power at {kind} of {100 * (1 - plan.confidence.alpha):.4g} %; "
        f"users an arm are for a lift of {share_said(plan.effect)}"
    )


def power_table(plan: PowerPlan) -> Table:
    """The same as a table."""
    return _table(power_said(plan), POWER_HEADS, power_rows(plan))


def explored_table(title: str, values: Mapping[str, PolicyValue]) -> Table:
    """Off-policy estimates, a row each."""
    rows = [
        (name, f"{of.value:.4f}", f"[{of.low:.4f}, {of.high:.4f}]" if of.low == of.low else "–", f"{of.effective:,.0f}")
        for name, of in values.items()
    ]
    return _table(title, ("slots filled", "a slot", "95 %", "effective draws"), rows)


def _found(effect: float) -> str:
    return "–" if effect != effect else f"±{100 * effect:.1f} %"


def _needed(users: float) -> str:
    return "–" if users != users else f"{users:,.0f}"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head.strip())
    for row in rows:
        table.add_row(*row)
    return table
