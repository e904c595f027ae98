"""An experiment's report as one self-contained HTML page: verdict first, then arms, lifts, guardrails."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from apps.reports.experiment import (
    ARM_HEADS,
    DRAFT_HEADS,
    GUARD_HEADS,
    LIFT_HEADS,
    arm_rows,
    draft_rows,
    guard_rows,
    lift_rows,
    sample_ratio_said,
)
from apps.reports.page import plain_table, write_page
from training.experiments.lifts import Lift
from training.experiments.report import TrialReport
from training.experiments.verdict import conclusions, horizon_said

WIDTH = 760
LEFT = 250
RIGHT = 20
STEP = 30
TONES = {"better": "good", "worse": "bad", "harmful": "bad", "withheld": "bad", "open": ""}
Row = tuple[str, Lift]


def write_experiment(report: TrialReport, path: str | Path) -> Path:
    """Write the page. Returns the path."""
    trial = report.trial
    title = f"Experiment {trial.name}"
    body = [
        f"<h1>{escape(title)}</h1><p>{escape(', '.join(trial.clients))} · {trial.design} · {report.days:.1f} days</p>"
    ]
    for said in conclusions(report):
        body.append(f"<p><b>{escape(said.arm)}</b>: <span class='{TONES[said.word]}'>{escape(said.text)}</span></p>")
    body.append(f"<p class='note'>{escape(horizon_said(report))}</p>")
    if report.arms:
        heads = ("arm", trial.unit, *ARM_HEADS[2:])
        body.append(f"<h2>Arms</h2><p>{escape(sample_ratio_said(report))}</p>{plain_table(heads, arm_rows(report))}")
    if report.lifts:
        rows = [(f"{row.figure}, {row.arm}", row.best) for row in report.lifts if row.best.known]
        body.append(f"<h2>Lifts over {escape(next(iter(trial.arms)))}</h2>{lift_plot(rows)}")
        body.append(plain_table(LIFT_HEADS, lift_rows(report)))
    if report.drafts:
        rows = [(row.action, row.preference.lift) for row in report.drafts if row.preference.lift.known]
        body.append(
            f"<h2>Whose pins users acted on</h2>{lift_plot(rows)}{plain_table(DRAFT_HEADS, draft_rows(report))}"
        )
    if report.guards:
        body.append(f"<h2>Guardrails</h2>{plain_table(GUARD_HEADS, guard_rows(report))}")
    body += [f"<p class='note'>{escape(note)}</p>" for note in report.notes]
    return write_page(path, title, body)


def lift_plot(rows: Sequence[Row]) -> str:
    """Lifts with their intervals as inline SVG, on one axis that includes zero; nothing without rows."""
    if not rows:
        return ""
    ends = [0.0, *(end for _, lift in rows for end in (lift.low, lift.high))]
    span = max(max(ends) - min(ends), 0.02)
    low = min(ends) - 0.05 * span
    height = STEP * (len(rows) + 1)

    def x(value: float) -> float:
        return LEFT + (value - low) / (1.1 * span) * (WIDTH - LEFT - RIGHT)

    parts = [f"<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='Lifts with intervals'>"]
    parts.append(
        f"<line x1='{x(0):.1f}' x2='{x(0):.1f}' y1='4' y2='{height - STEP}' stroke='var(--soft)' "
        f"stroke-dasharray='4 4'/><text x='{x(0):.1f}' y='{height - 8}' text-anchor='middle'>no difference</text>"
    )
    for at, (name, lift) in enumerate(rows):
        y = STEP * at + 18
        colour = f"var(--{ {1: 'good', -1: 'bad', 0: 'calm'}[lift.sign] })"
        parts.append(f"<text x='0' y='{y + 4}'>{escape(name)}</text>")
        parts.append(
            f"<line x1='{x(lift.low):.1f}' x2='{x(lift.high):.1f}' y1='{y}' y2='{y}' stroke='{colour}' "
            f"stroke-width='4' stroke-linecap='round'/><circle cx='{x(lift.lift):.1f}' cy='{y}' r='6' fill='{colour}'/>"
        )
    return "".join([*parts, "</svg>"])
