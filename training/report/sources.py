"""What each source of candidates is worth: recall, what it alone found, overlap, cost. Arrays in, figures out; no Ray.

Recall is of the pins that the user went on to act on. The union is judged at equal candidates: its first k by
reciprocal rank fusion against the first k of each source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cluster.features.source import fused
from training.metrics.intervals import Interval, bootstrap

CUTS = (10, 25, 50, 100, 200, 500)
HEAD = 100
"""Candidates that overlap, segments and the bars are told for."""

UNION = "union"


def union_of(found: Mapping[str, np.ndarray]) -> np.ndarray:
    """int[m]: the pins of all sources, by reciprocal rank fusion; each source's own, int[n], best first."""
    pins = np.unique(np.concatenate([np.empty(0, np.int64), *found.values()]).astype(np.int64))
    rank = np.full((len(pins), len(found)), -1, np.int64)
    for column, mine in enumerate(found.values()):
        rank[np.searchsorted(pins, mine), column] = np.arange(len(mine))
    order: np.ndarray = pins[np.argsort(-fused(rank), kind="stable")]
    return order


@dataclass
class SourceFindings:
    """Request after request: who asked, which pins were wanted, and what each source found."""

    names: tuple[str, ...]
    users: list[Any] = field(default_factory=list)
    parts: list[tuple[str, ...]] = field(default_factory=list)
    recalls: list[dict[str, np.ndarray]] = field(default_factory=list)  # source or union -> recall at each cut
    lost: list[dict[str, float]] = field(default_factory=list)  # source -> recall of the whole union without it
    shared: list[np.ndarray] = field(default_factory=list)  # [S, S], NaN where a source found nothing
    milliseconds: list[dict[str, float]] = field(default_factory=list)
    narrowed: dict[str, "SourceFindings"] = field(default_factory=dict)  # part of the pins -> where only these counted

    def add(
        self,
        user: Any,
        wanted: np.ndarray,
        found: Mapping[str, np.ndarray],
        milliseconds: Mapping[str, float],
        parts: Sequence[str] = (),
    ) -> None:
        """A request with at least one pin to be found; `found` by source, best first, each pin once."""
        union = union_of(found)
        self.users.append(user)
        self.parts.append(tuple(parts))
        self.recalls.append({name: _recalls(pins, wanted) for name, pins in {**found, UNION: union}.items()})
        whole = float(np.isin(wanted, union).mean())
        self.lost.append({name: whole - self._without(name, wanted, found) for name in self.names})
        self.shared.append(_overlap([found[name][:HEAD] for name in self.names]))
        self.milliseconds.append(dict(milliseconds))

    def narrow(
        self,
        part: str,
        user: Any,
        wanted: np.ndarray,
        found: Mapping[str, np.ndarray],
        milliseconds: Mapping[str, float],
    ) -> None:
        """The same request where only a part of the wanted pins counts; one without any of them is left out."""
        if len(wanted):
            self.narrowed.setdefault(part, SourceFindings(self.names)).add(user, wanted, found, milliseconds)

    @staticmethod
    def _without(name: str, wanted: np.ndarray, found: Mapping[str, np.ndarray]) -> float:
        rest = [pins for other, pins in found.items() if other != name]
        return float(np.isin(wanted, np.concatenate([np.empty(0, np.int64), *rest])).mean())

    def report(self) -> dict[str, Any]:
        """JSON-able: intervals from resampled users."""
        every = np.arange(len(self.users))
        cost = {name: float(np.median([one[name] for one in self.milliseconds])) for name in self.names}
        lost = {name: self._interval(np.array([one[name] for one in self.lost]), every) for name in self.names}
        return {
            "requests": len(self.users),
            "users": len(set(self.users)),
            "sources": list(self.names),
            "recall": {
                name: {
                    str(cut): self._interval(self._at(name, column), every).to_dict() for column, cut in enumerate(CUTS)
                }
                for name in (*self.names, UNION)
            },
            "union_over": {
                name: {str(cut): self._over(name, column).to_dict() for column, cut in enumerate(CUTS)}
                for name in self.names
            },
            "lost_without": {name: interval.to_dict() for name, interval in lost.items()},
            "milliseconds": cost,
            "lost_per_ms": {name: lost[name].mean / max(cost[name], 1e-9) for name in self.names},
            "overlap": {
                a: {b: _mean([one[i, j] for one in self.shared]) for j, b in enumerate(self.names)}
                for i, a in enumerate(self.names)
            },
            "segments": self._segments(),
        }

    def _segments(self) -> dict[str, Any]:
        """By part: of the requests, then of the pins."""
        out: dict[str, Any] = {}
        for part in sorted({part for parts in self.parts for part in parts}):
            out[part] = self._segment(np.array([i for i, parts in enumerate(self.parts) if part in parts]))
        for part, found in self.narrowed.items():
            out[part] = found._segment(np.arange(len(found.users)))
        return out

    def _segment(self, rows: np.ndarray) -> dict[str, Any]:
        column = CUTS.index(HEAD)
        named = (*self.names, UNION)
        figures = {name: self._interval(self._at(name, column)[rows], rows).to_dict() for name in named}
        return {"requests": len(rows), f"recall@{HEAD}": figures}

    def _at(self, name: str, column: int) -> np.ndarray:
        return np.array([one[name][column] for one in self.recalls])

    def _over(self, name: str, column: int) -> Interval:
        """The union's recall less the source's, at equal candidates."""
        return self._interval(self._at(UNION, column) - self._at(name, column), np.arange(len(self.users)))

    def _interval(self, values: np.ndarray, rows: np.ndarray) -> Interval:
        users = [self.users[row] for row in rows.tolist()]
        codes = {user: code for code, user in enumerate(dict.fromkeys(users))}
        return bootstrap(values, unit=np.array([codes[user] for user in users], np.int64))


def _recalls(pins: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Recall at each cut."""
    hit = np.cumsum(np.isin(pins[: CUTS[-1]], wanted))
    return np.array([float(hit[min(cut, len(hit)) - 1]) if len(hit) else 0.0 for cut in CUTS]) / len(wanted)


def _overlap(heads: Sequence[np.ndarray]) -> np.ndarray:
    """[S, S]: which share of a row's pins the column's source has, too."""
    return np.array([[np.isin(a, b).mean() if len(a) else np.nan for b in heads] for a in heads])


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else None
