"""Joined requests and earlier events, counted by unit and arm. Arrow and NumPy; knows nothing of Ray.

Unit rows can be added up in any grouping, so a log is counted piece by piece, and units are made whole behind a
shuffle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.hashing import hash_ids
from cluster.store.log_parts import readable_batches
from training.experiments.columns import BEFORE, BEFORE_ALL, DEGRADED, KNOWN, KNOWN_LATELY, MILLISECONDS, UnitColumns
from training.experiments.labels import GONE, NOBODY, Label, plain
from training.log.arrays import ListColumn
from training.log.attribution import as_datetime64

READ = (
    "user_id",
    "experiment",
    "exposure",
    "milliseconds",
    "degraded",
    "position",
    "sequence_action",
    "sequence_age_hours",
)
"""Columns of the serving log that units are counted from."""
DRAFTED = ("team",)
"""And those of an interleaving."""
LATELY_HOURS = 168.0
LAST = np.iinfo(np.int64).max
BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class UnitRows:
    """Parts of units: the same unit and arm may stand in several."""

    unit: np.ndarray  # object[m]
    arm: np.ndarray  # int64[m]; NOBODY: what is only known of its past
    first: np.ndarray  # int64[m]: microseconds since 1970 of its first request; LAST without one
    values: np.ndarray  # float64[m, k]

    @classmethod
    def read(cls, table: pa.Table) -> "UnitRows":
        """From what `table` has made."""
        unit, arm, first, values = (plain(table.column(name)) for name in ("unit", "arm", "first", "values"))
        width = values.type.list_size
        return cls(
            np.asarray(unit.to_pylist(), dtype=object),
            arm.to_numpy(),
            first.to_numpy(),
            values.flatten().to_numpy().reshape(-1, width),
        )

    def table(self, buckets: int) -> pa.Table:
        """With a column `bucket` that is the same for all parts of a unit."""
        m, width = self.values.shape
        values = pa.FixedSizeListArray.from_arrays(pa.array(self.values.ravel(), pa.float64()), width)
        bucket = hash_ids(self.unit).astype(np.int64) % buckets if m else np.empty(0, np.int64)
        return pa.table(
            {
                "bucket": pa.array(bucket, pa.int64()),
                "unit": pa.array(self.unit.tolist(), pa.string()),
                "arm": pa.array(self.arm, pa.int64()),
                "first": pa.array(self.first, pa.int64()),
                "values": values,
            }
        )

    def added(self, columns: UnitColumns, by_arm: bool = True) -> "UnitRows":
        """Each unit once an arm, or once in all: what it knew at first is its first part's, all else is added up."""
        if not len(self.unit):
            return self
        _, code = np.unique(self.unit.astype(str), return_inverse=True)
        key = code * (self.arm.max() - GONE + 1) + self.arm - GONE if by_arm else code
        order = np.lexsort((self.first, key))
        begins = np.flatnonzero(np.diff(key[order], prepend=-1))
        top = order[begins]
        values = np.add.reduceat(self.values[order], begins, axis=0)
        past = list(columns.past)
        values[:, past] = self.values[top][:, past]
        return UnitRows(self.unit[top], self.arm[top], self.first[top], values)


@dataclass(frozen=True)
class CountUnits:
    """Joined requests (`training.log.requests`) → unit rows."""

    label: Label
    columns: UnitColumns
    buckets: int

    def __call__(self, table: pa.Table) -> pa.Table:
        """The counts of the requests that count."""
        return self.rows(table).table(self.buckets)

    def rows(self, table: pa.Table) -> UnitRows:
        """The same, not yet as a table."""
        units = self.label.units(table)
        arms = self.label.arms(table)
        keep = (arms != NOBODY) & units.is_valid().to_numpy(zero_copy_only=False)
        kept = table.filter(pa.array(keep))
        names = np.asarray(units.filter(pa.array(keep)).to_pylist(), dtype=object)
        at = as_datetime64(kept.column("requested_at")).astype(np.int64)
        return UnitRows(names, arms[keep], at, self._values(kept)).added(self.columns)

    def _values(self, table: pa.Table) -> np.ndarray:
        columns = self.columns
        n = table.num_rows
        out = np.zeros((n, len(columns.names)))
        if not n:
            return out
        position = ListColumn(table.column("position"))
        row = np.repeat(np.arange(n), np.diff(position.offsets))
        shown = position.values >= 0
        did = ListColumn(table.column("actions")).values.reshape(len(row), len(columns.actions)) > 0
        out[:, columns.at("requests")] = 1
        out[:, columns.at("shown")] = np.bincount(row[shown], minlength=n)
        for number, action in enumerate(columns.actions):
            out[:, columns.at(f"did {action}")] = np.bincount(row[shown & did[:, number]], minlength=n)
        took = plain(table.column("milliseconds"))
        out[:, columns.at("timed")] = took.is_valid().to_numpy(zero_copy_only=False)
        out[:, columns.at(MILLISECONDS)] = took.fill_null(0).to_numpy(zero_copy_only=False)
        out[:, columns.at(DEGRADED)] = pc.fill_null(pc.not_equal(plain(table.column("degraded")), ""), False)
        known = plain(table.column("sequence_action"))
        out[:, columns.at(KNOWN)] = pc.fill_null(pc.list_value_length(known), 0)
        age = ListColumn(table.column("sequence_age_hours"))
        lately = np.repeat(np.arange(n), np.diff(age.offsets))[age.values < LATELY_HOURS]
        out[:, columns.at(KNOWN_LATELY)] = np.bincount(lately, minlength=n)
        if columns.drafted:
            self._credits(out, table, row, shown, did)
        return out

    def _credits(self, out: np.ndarray, table: pa.Table, row: np.ndarray, shown: np.ndarray, did: np.ndarray) -> None:
        team = ListColumn(table.column("team"))
        lengths = np.diff(team.offsets)
        drafted = (lengths > 0)[row]
        placed = np.full(len(row), -1)
        placed[drafted] = team.values
        for number in (0, 1):
            mine = shown & (placed == number)
            out[:, self.columns.at(f"team {number} shown")] = np.bincount(row[mine], minlength=len(out))
            for at, action in enumerate(self.columns.actions):
                credited = np.bincount(row[mine & did[:, at]], minlength=len(out))
                out[:, self.columns.at(f"team {number} {action}")] = credited


@dataclass(frozen=True)
class CountBefore:
    """Paths of the event log → unit rows of what users did in a span of time before the experiment."""

    columns: UnitColumns
    since: np.datetime64
    until: np.datetime64
    buckets: int

    def __call__(self, files: pa.Table) -> Iterator[pa.Table]:
        """A table a file, so that columns are always there."""
        for path in files.column("path").to_pylist():
            parts = [
                self.rows(batch) for batch in readable_batches(path, BATCH_ROWS, ("user_id", "action", "occurred_at"))
            ]
            yield joined(parts, self.columns).added(self.columns).table(self.buckets)

    def rows(self, batch: pa.RecordBatch) -> UnitRows:
        """Of one batch of events."""
        at = as_datetime64(batch.column("occurred_at"))
        action = pc.index_in(batch.column("action"), value_set=pa.array(self.columns.actions, pa.string()))
        code = action.fill_null(-1).to_numpy(zero_copy_only=False)
        keep = (at >= self.since) & (at < self.until) & (code >= 0)
        keep &= batch.column("user_id").is_valid().to_numpy(zero_copy_only=False)
        names = batch.column("user_id").cast(pa.string()).filter(pa.array(keep)).to_pylist()
        values = np.zeros((len(names), len(self.columns.names)))
        first = self.columns.at(f"{BEFORE}{self.columns.actions[0]}")
        values[np.arange(len(names)), first + code[keep]] = 1
        values[:, self.columns.at(BEFORE_ALL)] = 1
        nobody = np.full(len(names), NOBODY)
        return UnitRows(np.asarray(names, dtype=object), nobody, np.full(len(names), LAST), values)


def joined(parts: Sequence[UnitRows], columns: UnitColumns) -> UnitRows:
    """All rows of several."""
    empty = np.empty(0, np.int64)
    nothing = UnitRows(np.empty(0, object), empty, empty, np.empty((0, len(columns.names))))
    names = ("unit", "arm", "first", "values")
    return UnitRows(*(np.concatenate([getattr(part, name) for part in (nothing, *parts)]) for name in names))
