"""Whole units become moments by arm, the small thing that a report is made of. Knows nothing of Ray."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from training.experiments.columns import UnitColumns
from training.experiments.labels import NOBODY
from training.experiments.unit_moments import UnitMoments
from training.experiments.units import LAST, UnitRows

EXAMPLES = 5


@dataclass(frozen=True)
class Finished:
    """Moments by arm (GONE too) of whole units, and those that were met in two arms, which count nowhere."""

    arms: dict[int, UnitMoments]
    in_two: int = 0
    examples: tuple[str, ...] = ()

    @classmethod
    def added(cls, parts: Iterable["Finished"]) -> "Finished":
        """All of several groups of units."""
        arms: dict[int, UnitMoments] = {}
        two = 0
        examples: list[str] = []
        for part in parts:
            two += part.in_two
            examples += part.examples
            for arm, moments in part.arms.items():
                arms[arm] = arms[arm] + moments if arm in arms else moments
        return cls(dict(sorted(arms.items())), two, tuple(examples[:EXAMPLES]))

    def table(self) -> pa.Table:
        """A row an arm; the units of two arms stand in a row without any."""
        rows: list[dict[str, Any]] = [
            {"arm": arm, "n": of.n, "total": of.total, "products": of.products.ravel()} for arm, of in self.arms.items()
        ]
        rows.append({"arm": NOBODY, "n": 0, "total": [], "products": []})
        last = len(rows) - 1
        two = [{"two": self.in_two if at == last else 0} for at in range(len(rows))]
        some = [{"examples": list(self.examples) if at == last else []} for at in range(len(rows))]
        return pa.Table.from_pylist([a | b | c for a, b, c in zip(rows, two, some, strict=True)], PACKED)

    @classmethod
    def read(cls, table: pa.Table) -> "Finished":
        """From what `table` has made, of one group or several."""
        parts = []
        for row in table.to_pylist():
            total = np.array(row["total"], np.float64)
            moments = UnitMoments(
                row["n"], total, np.array(row["products"], np.float64).reshape(len(total), len(total))
            )
            parts.append(cls({} if row["arm"] == NOBODY else {row["arm"]: moments}, row["two"], tuple(row["examples"])))
        return cls.added(parts)


PACKED = pa.schema(
    [
        ("arm", pa.int64()),
        ("n", pa.int64()),
        ("total", pa.list_(pa.float64())),
        ("products", pa.list_(pa.float64())),
        ("two", pa.int64()),
        ("examples", pa.list_(pa.string())),
    ]
)


class Finish(Protocol):
    """All parts of some units → their moments."""

    def __call__(self, rows: UnitRows, columns: UnitColumns) -> Finished:
        """See above."""


@dataclass(frozen=True)
class ByArm:
    """Each unit in the one arm that it was met in."""

    def __call__(self, rows: UnitRows, columns: UnitColumns) -> Finished:
        """Units whose past alone is known do not count."""
        if not len(rows.unit):
            return Finished({})
        names, code = np.unique(rows.unit.astype(str), return_inverse=True)
        met = rows.arm != NOBODY
        least = np.full(len(names), LAST)
        most = np.full(len(names), np.iinfo(np.int64).min)
        np.minimum.at(least, code[met], rows.arm[met])
        np.maximum.at(most, code[met], rows.arm[met])
        whole = rows.added(columns, by_arm=False).values  # in the order of the names
        two = (least < most) & (least != LAST)
        one = least == most
        arms = {int(arm): UnitMoments.of(whole[one & (least == arm)]) for arm in np.unique(least[one])}
        return Finished(arms, int(two.sum()), tuple(names[two][:EXAMPLES].tolist()))


@dataclass(frozen=True)
class ByLength:
    """Where arms are days: units over the first 1, 2, … days, for each of `lengths`, which stand in place of arms."""

    lengths: Sequence[int]

    def __call__(self, rows: UnitRows, columns: UnitColumns) -> Finished:
        """Units are those that were met in the time."""
        out = {}
        past = rows.arm == NOBODY
        for days in self.lengths:
            inside = (rows.arm >= 0) & (rows.arm < days)
            keep = inside | (past & np.isin(rows.unit.astype(str), np.unique(rows.unit[inside].astype(str))))
            part = UnitRows(rows.unit[keep], rows.arm[keep], rows.first[keep], rows.values[keep])
            out[days] = UnitMoments.of(part.added(columns, by_arm=False).values)
        return Finished(out)


@dataclass(frozen=True)
class Pack:
    """A group of unit rows as a table → what is finished of them as a table."""

    finish: Finish
    columns: UnitColumns

    def group(self, table: pa.Table) -> pa.Table:
        """See above."""
        return self.finish(UnitRows.read(table), self.columns).table()
