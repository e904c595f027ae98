"""A block of examples: one row a request, its candidates' examples as lists. Arrow and NumPy, no Ray.

Nothing that moves rows (Ray Data's blocks, workers, batches) can so part the examples of a request, whose order among
themselves is what a ranking objective learns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.lightweight.splits import LEFT_OUT, TimeSplit
from training.lightweight.strategies.strategy import CLASSES
from training.log.arrays import ListColumn
from training.log.attribution import as_datetime64

SCHEMA = pa.schema(
    [
        ("client", pa.int16()),
        ("requested_at", pa.timestamp("us", tz="UTC")),
        ("draw", pa.float64()),  # of [0, 1), by the request's id: what a share of the requests is drawn by
        ("request_weight", pa.float32()),
        ("x", pa.large_list(pa.float32())),  # m * F
        ("label", pa.list_(pa.float32())),  # m, as the four below
        ("weight", pa.list_(pa.float32())),
        ("grade", pa.list_(pa.float32())),
        ("class", pa.list_(pa.int8())),
    ]
)
"""Of a block of examples: one row a request, with its m kept candidates."""


def block_of(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """A block of requests: for each column of `SCHEMA` a number or an array a request."""
    return pa.table({f.name: _column(columns[f.name], f.type) for f in SCHEMA}, schema=SCHEMA)


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Numbers, or arrays as one list column without a Python object for each number."""
    if not pa.types.is_list(kind) and not pa.types.is_large_list(kind):
        return pa.array(values, kind)
    offsets = np.append(0, np.cumsum([len(v) for v in values], dtype=np.int64))
    flat = pa.array(np.concatenate(values) if values else np.zeros(0, np.float32), kind.value_type)
    if pa.types.is_large_list(kind):
        return pa.LargeListArray.from_arrays(pa.array(offsets), flat)
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), flat)


@dataclass(frozen=True)
class ExampleRows:
    """m examples of g requests, those of a request side by side."""

    x: np.ndarray  # float32[m, F]
    label: np.ndarray  # float32[m]
    weight: np.ndarray  # float32[m]
    grade: np.ndarray  # float32[m], relevance to a ranking objective
    group: np.ndarray  # int[g], examples of each request
    request_weight: np.ndarray  # float32[g]

    @classmethod
    def of(cls, block: pa.Table, requests: np.ndarray) -> "ExampleRows":
        """Those of some rows of a block, bool[rows] with at least one."""
        block = block if requests.all() else block.filter(pa.array(requests))
        label = ListColumn(block.column("label"))
        m = len(label.values)
        return cls(
            ListColumn(block.column("x")).values.reshape(m, -1),
            label.values,
            ListColumn(block.column("weight")).values,
            ListColumn(block.column("grade")).values,
            np.diff(label.offsets),
            np.asarray(block.column("request_weight").to_numpy()),
        )

    def only(self, requests: np.ndarray) -> "ExampleRows":
        """The examples of some requests, bool[g]."""
        if requests.all():
            return self
        rows = np.repeat(requests, self.group)
        each = (self.x[rows], self.label[rows], self.weight[rows], self.grade[rows])
        return ExampleRows(*each, self.group[requests], self.request_weight[requests])

    def of_several_grades(self) -> "ExampleRows":
        """The requests whose examples differ in grade: the others have no order to learn."""
        starts = np.append(0, np.cumsum(self.group)[:-1])
        return self.only(np.maximum.reduceat(self.grade, starts) > np.minimum.reduceat(self.grade, starts))

    @classmethod
    def joined(cls, parts: Sequence["ExampleRows"]) -> "ExampleRows":
        """All parts, one after the other."""
        names = ("x", "label", "weight", "grade", "group", "request_weight")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def named_counts(counts: np.ndarray) -> dict[str, dict[str, int]]:
    """Split → class → rows, of int[2, classes]."""
    rows = zip(("train", "valid"), counts, strict=True)
    return {split: dict(zip(CLASSES, map(int, row), strict=True)) for split, row in rows}


def count_classes(block: pa.Table, splits: Sequence[TimeSplit], first: int = 0) -> np.ndarray:
    """int64[clients, 2, classes]: examples of a block by client, split and class.

    `splits` are those of the clients whose codes start at `first`.
    """
    out = np.zeros((len(splits), 2, len(CLASSES)), np.int64)
    if not block.num_rows:  # of a log file whose requests all lie outside the windows: Ray Data gives it no columns
        return out
    kinds = ListColumn(block.column("class"))
    of = np.repeat(np.arange(block.num_rows), np.diff(kinds.offsets))
    for at, split in enumerate(splits):
        roles = roles_in(block, first + at, split)[of]
        for role in range(2):
            out[at, role] = np.bincount(kinds.values[roles == role], minlength=len(CLASSES))
    return out


def in_order(code: int, *blocks: pa.Table) -> pa.Table:
    """The requests of one client of several blocks as one block, by time; those of one moment by their draw."""
    mine = [block.filter(pc.equal(block.column("client"), code)) for block in blocks]
    return pa.concat_tables(mine).sort_by([("requested_at", "ascending"), ("draw", "ascending")])


def roles_in(block: pa.Table, code: int, split: TimeSplit) -> np.ndarray:
    """int8[rows]: what each request of a block is for; LEFT_OUT where it is another client's."""
    if not block.num_rows:
        return np.zeros(0, np.int8)
    roles = split.roles(as_datetime64(block.column("requested_at")), block.column("draw").to_numpy())
    return np.where(block.column("client").to_numpy() == code, roles, LEFT_OUT)
