"""What an evaluation of stages comes to: figures of every order over the same requests, with intervals of users."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from apps.reports.stages_orders import ORDERS, STAGES
from training.metrics.cases import Answered
from training.metrics.intervals import Interval, bootstrap_columns
from training.metrics.metric import Cuts, figures
from training.metrics.registry import ANSWERS

CUTS: Cuts = {"survivors": (50,), "head": (20,)}


@dataclass(frozen=True)
class StageQuality:
    """Means over requests, each with a 95 % interval from resampled users.

    An order counts on the requests that it exists for; a difference on those that both orders exist for.
    """

    requests: int
    users: int
    figures: dict[str, dict[str, Interval]]  # figure (recall@50, …) → order
    differences: dict[str, Interval]  # "after - before figure", of one order and the next, and of a ranker and a peer
    lifts: dict[str, dict[str, Interval]] = field(default_factory=dict)  # figure → order: what it has over visit count
    missing: dict[str, str] = field(default_factory=dict)  # order → why some requests or all of them lack it
    titles: dict[str, str] = field(default_factory=dict)  # every order that was asked for, in the order of reports
    slices: dict[str, int] = field(default_factory=dict)  # moment at which a slice begins → its requests
    segments: dict[str, "StageQuality"] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The form that scripts read: each metric under its own name, with the k that it was cut at beside it."""
        out: dict[str, Any] = {"requests": self.requests, "users": self.users}
        for figure, by_order in self.figures.items():
            metric, _, k = figure.partition("@")
            out[f"{metric}_at"] = int(k)
            out[metric] = {name: asdict(interval) for name, interval in by_order.items()}
        out["differences"] = {name.partition("@")[0]: asdict(interval) for name, interval in self.differences.items()}
        out["over_visit_count"] = {
            figure.partition("@")[0]: {name: asdict(interval) for name, interval in row.items()}
            for figure, row in self.lifts.items()
        }
        out |= {"missing": self.missing, "titles": self.titles}
        return out | ({"segments": {n: part.as_json() for n, part in self.segments.items()}} if self.segments else {})

    def worse(self) -> list[str]:
        """The stages that are worse than the one before in the mean of a figure, each as a line for people."""
        present = [name for name in STAGES if any(name in row for row in self.figures.values())]
        pairs = [
            (f"{after} - {before} {figure}", figure, before, after)
            for before, after in pairwise(present)
            for figure in self.figures
        ]
        return [
            f"{self.titles.get(after, after)} is worse than {self.titles.get(before, before)}: {figure} "
            f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
            for name, figure, before, after in pairs
            if (found := self.differences[name]).mean < 0
        ]


class Judgements:
    """The figures of every order on every request, and what they come to."""

    def __init__(self, cuts: Cuts):
        self._cuts = cuts
        self._users: list[object] = []
        self._rows: list[dict[str, dict[str, float]]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, user: object, found: Mapping[str, np.ndarray], relevant: np.ndarray) -> None:
        """Judge the orders of one request."""
        self._users.append(user)
        self._rows.append({name: judged(order, relevant, self._cuts) for name, order in found.items()})

    def quality(self, titles: Mapping[str, str], rows: Sequence[int] | None = None) -> StageQuality:
        """Means and differences over all requests, or over `rows`; of the orders in `titles` that any of them has."""
        at = np.arange(len(self)) if rows is None else np.asarray(rows, int)
        part = [self._rows[i] for i in at]
        present = [name for name in titles if any(name in row for row in part)]
        names = next((list(row[name]) for row in part for name in row), [])
        nothing = dict.fromkeys(names, np.nan)
        value = {
            (name, figure): np.array([row.get(name, nothing)[figure] for row in part])
            for figure in names
            for name in present
        }
        others = [name for name in present if STAGES[0] in present and name != STAGES[0]]
        asked = dict.fromkeys([*compared(present), *((STAGES[0], name) for name in others)])
        pairs = [(before, after, figure) for before, after in asked for figure in names]
        columns = [*value.values(), *(value[after, figure] - value[before, figure] for before, after, figure in pairs)]
        user = np.unique([str(self._users[i]) for i in at], return_inverse=True)[1]
        found = bootstrap_columns(np.stack(columns, axis=1), unit=user) if columns else []
        means = dict(zip(value, found[: len(value)], strict=True))
        between = dict(zip(pairs, found[len(value) :], strict=True))
        in_line = set(compared(present))
        return StageQuality(
            requests=len(at),
            users=len(set(user.tolist())),
            figures={figure: {name: means[name, figure] for name in present} for figure in names},
            differences={f"{b} - {a} {figure}": i for (a, b, figure), i in between.items() if (a, b) in in_line},
            lifts={figure: {name: between[STAGES[0], name, figure] for name in others} for figure in names},
            titles=dict(titles),
        )


def compared(present: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs (before, after) of orders that are subtracted: each stage and the one before, each peer and each ranker."""
    in_line = [name for name in ORDERS if name in present and name != "visit_count_corrected"]
    rankers = [name for name in STAGES[1:] if name in present]
    return [*pairwise(in_line), *((peer, ranker) for peer in present if peer not in ORDERS for ranker in rankers)]


def judged(order: np.ndarray, relevant: np.ndarray, cuts: Cuts = CUTS) -> dict[str, float]:
    """Figures of one order of pin ids, best first, against the ids that are `relevant` (each once)."""
    return figures(ANSWERS, Answered(np.isin(order[: longest(cuts)], relevant), len(relevant)), cuts)


def longest(cuts: Cuts) -> int:
    """How many pins of an order the figures look at."""
    return max(max(ks) for ks in cuts.values())
