"""Two arms of a simulation compared: action rates, relative lift, and confidence intervals that resample users.

One user's answers are not independent, so users are what is resampled (a cluster bootstrap). NumPy only; the console
table and the HTML page read the same `Comparison`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from rich.text import Text

from apps.tables import Table
from apps.world.actions import HABITS
from apps.world.traffic import Traffic
from cluster.errors import DataError
from training.metrics.intervals import percentiles, ratio, resampled

UTILITY = "utility"


@dataclass(frozen=True)
class Row:
    """One client and action (or `utility`), per impression. A bound is None where too few actions give no interval."""

    client: str
    action: str
    primary: bool
    users: int
    requests: tuple[int, int]  # baseline, treatment
    impressions: tuple[int, int]
    baseline: float
    treatment: float
    lift: float | None  # treatment / baseline - 1
    low: float | None
    high: float | None
    expected_lift: float | None  # the same from the world's true probabilities of what was shown: less noise

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Comparison:
    """All rows of one comparison, with how the intervals were made."""

    baseline: str
    treatment: str
    confidence: float
    resamples: int
    rows: tuple[Row, ...] = field(repr=False)

    def row(self, client: str, action: str) -> Row:
        """The row of one client and action. Raises KeyError."""
        for row in self.rows:
            if (row.client, row.action) == (client, action):
                return row
        raise KeyError((client, action))

    @property
    def primary(self) -> list[Row]:
        """One row per client: the action that the surface is judged by."""
        return [row for row in self.rows if row.primary]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self) | {"rows": [asdict(row) | {"significant": row.significant} for row in self.rows]}


def compare(
    traffic: Traffic,
    baseline: str = "visit_count",
    treatment: str = "ranked",
    *,
    utilities: Mapping[str, Mapping[str, float]] | None = None,
    primary: Mapping[str, str] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Rates per impression in both arms, with percentile intervals of the relative lift.

    `utilities`: action weights by client, adds a `utility` row each. `primary`: the judged action by client, default
    those of the world's habits. Raises DataError when an arm is missing.
    """
    for arm in (baseline, treatment):
        if arm not in traffic.arms:
            raise DataError(f"the traffic has no arm '{arm}', only {', '.join(traffic.arms)}")
    sides = [traffic.arms.index(baseline), traffic.arms.index(treatment)]
    judged = primary or {name: habit.primary for name, habit in HABITS.items()}
    counts = resampled(len(traffic.users), resamples, seed, "multinomial")
    rows = []
    for at, client in enumerate(traffic.clients):
        shown = traffic.shown[at][sides]  # [2, U]
        if not shown.sum(axis=1).all():
            continue
        measures = {action: np.eye(len(traffic.actions))[code] for code, action in enumerate(traffic.actions)}
        if utilities is not None and client in utilities:
            measures[UTILITY] = np.array([utilities[client].get(name, 0.0) for name in traffic.actions])
        for action, weight in measures.items():
            did, expected = traffic.did[at][sides] @ weight, traffic.expected[at][sides] @ weight  # [2, U]
            rate = did.sum(axis=1) / shown.sum(axis=1)
            low, high = lift_interval(counts, shown, did, confidence)
            rows.append(
                Row(
                    client,
                    action,
                    judged.get(client) == action,
                    int((shown.sum(axis=0) > 0).sum()),
                    _pair(traffic.requests[at][sides].sum(axis=1)),
                    _pair(shown.sum(axis=1)),
                    float(rate[0]),
                    float(rate[1]),
                    lift_of(rate),
                    low,
                    high,
                    lift_of(expected.sum(axis=1) / shown.sum(axis=1)),
                )
            )
    return Comparison(baseline, treatment, confidence, resamples, tuple(rows))


def _pair(values: np.ndarray) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def lift_of(rate: np.ndarray) -> float | None:
    """The second of two rates over the first, minus 1; None when the first is 0."""
    return float(rate[1] / rate[0] - 1.0) if rate[0] > 0 else None


def lift_interval(
    counts: np.ndarray, shown: np.ndarray, did: np.ndarray, confidence: float
) -> tuple[float | None, float | None]:
    """Percentile interval of the lift over resampled users; none when a resample in twenty has no baseline actions.

    `counts` float[B, U]: how often each resample draws each user; `shown`, `did` float[2, U].
    """
    rates = ratio(counts, did.T, shown.T)  # [B, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        lifts = rates[:, 1] / rates[:, 0] - 1.0
    good = lifts[np.isfinite(lifts) & (rates[:, 0] > 0)]
    if len(good) < 0.95 * len(lifts):
        return None, None
    return percentiles(good, confidence)


def percent(value: float | None, signed: bool = False) -> str:
    """A share as per cent for people; a dash for none."""
    return "–" if value is None else f"{100.0 * value:+.0f} %" if signed else f"{100.0 * value:.2f} %"


def table(comparison: Comparison, all_actions: bool = False) -> Table:
    """The console table: one row per client with its judged action, or one per client and action."""
    out = Table(title=f"Actions per pin shown: {comparison.baseline} order against {comparison.treatment}")
    for name in ("client", "action"):
        out.add_column(name)
    interval = f"{100 * comparison.confidence:.0f} % interval"
    for name in ("answers", comparison.baseline, comparison.treatment, "lift", interval):
        out.add_column(name, justify="right")
    for row in comparison.rows if all_actions else comparison.primary:
        bounds = f"[{percent(row.low, True)}, {percent(row.high, True)}]" if row.low is not None else "too few"
        colour = "" if not row.significant else "green" if ((row.lift or 0) > 0) == (row.action != "hide") else "red"
        rates = (
            [f"{row.baseline:.4f}", f"{row.treatment:.4f}"]
            if row.action == UTILITY
            else [percent(row.baseline), percent(row.treatment)]
        )
        out.add_row(
            row.client,
            row.action,
            f"{row.requests[0]} + {row.requests[1]}",
            *rates,
            Text(percent(row.lift, True), style=colour),
            Text(bounds, style=colour),
        )
    return out
