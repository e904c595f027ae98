"""One joined request as arrays: what labels, examples, rows of the full ranker and evaluation are made from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.features.inputs import SourceInput
from cluster.hashing import hash_ids

LISTS = ("stage", "position", "explored", "visit_score", "full_score", "shared_features", "candidate_features")
SOURCES = ("source_name", "source_rank", "source_score")
COLUMNS = (*LISTS, *SOURCES, "user_id", "teacher_rate", "kept_rate")
"""Columns of the serving log that a request is read from."""


PER_CANDIDATE = ("stage", "position", "explored", "visit_score", "full_score", "candidates", "actions")
"""Fields of a request with a row for each candidate."""


@dataclass(frozen=True)
class Request:
    """A request's n candidates in the order that they had without a model, its features and what the user did."""

    request_id: str
    client: str
    user: int  # hashed id of who asked; of the request itself where the log does not know
    stage: np.ndarray  # int8[n]
    position: np.ndarray  # int16[n], slot in the answer, -1 if not shown
    explored: np.ndarray  # bool[n]
    visit_score: np.ndarray  # float32[n]
    full_score: np.ndarray  # float32[n], NaN where the full ranker did not score
    shared: np.ndarray  # float32[S]
    candidates: np.ndarray  # float32[n, C]
    actions: np.ndarray  # float32[n, A]
    row: int  # in the table that it was read from
    teacher_rate: float = float("nan")  # chance that a candidate only the walk chose got its full_score; NaN: none did
    kept_rate: float = 1.0  # chance that a candidate that led to nothing was logged
    sources: SourceInput | None = None  # None in logs from before there were several

    @property
    def n(self) -> int:
        """Number of candidates."""
        return len(self.stage)

    @property
    def live(self) -> bool:
        """Whether it showed an answer; history replayed without impressions showed nothing."""
        return bool((self.position >= 0).any())

    def only(self, rows: np.ndarray) -> "Request":
        """The request with these candidates alone (indices)."""
        part = {name: getattr(self, name)[rows] for name in PER_CANDIDATE}
        return replace(self, **part, sources=None if self.sources is None else self.sources.only(rows))

    def matrix(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """float32[rows, S + C], columns in the order of `FeatureSet.names`."""
        right = self.candidates[rows]
        left = np.broadcast_to(self.shared, (len(right), len(self.shared)))
        return np.concatenate([left, right], axis=1)


def read_requests(table: pa.Table) -> Iterator[Request]:
    """The requests of a joined table; those without candidates, or logged without features, are passed over.

    A degraded answer, whose lightweight stage failed, has no features.
    """
    if not table.num_rows:
        return
    table = table.combine_chunks()
    columns = {name: ListColumn(table.column(name)) for name in (*LISTS, "actions")}
    teacher_rates = _rates(table, "teacher_rate", float("nan"))
    kept_rates = _rates(table, "kept_rate", 1.0)
    ids, clients = table.column("request_id").to_pylist(), table.column("client").to_pylist()
    users = _users(table)
    sources = LoggedSources(table)
    for i, (request_id, client, user) in enumerate(zip(ids, clients, users, strict=True)):
        part = {name: column[i] for name, column in columns.items()}
        n = len(part["stage"])
        if n and len(part["candidate_features"]):
            yield Request(
                request_id,
                client,
                user,
                part["stage"],
                part["position"],
                part["explored"].astype(bool),
                part["visit_score"],
                part["full_score"],
                part["shared_features"],
                part["candidate_features"].reshape(n, -1),
                part["actions"].reshape(n, -1),
                i,
                teacher_rates[i],
                kept_rates[i],
                sources.of(i),
            )


def _users(table: pa.Table) -> list[int]:
    """Hashed id of each request's user, and of the request where it has none: a unit of its own."""
    users, requests = (hash_ids(table.column(name)) for name in ("user_id", "request_id"))
    out: list[int] = np.where(users == 0, requests, users).tolist()
    return out


def _rates(table: pa.Table, name: str, missing: float) -> list[float]:
    """A rate of each request; `missing` where it has none, and in logs from before there was such a column."""
    if name not in table.column_names:
        return [missing] * table.num_rows
    rates: list[float] = table.column(name).fill_null(missing).to_pylist()
    return rates


class LoggedSources:
    """Which sources found the candidates of each request of a table."""

    def __init__(self, table: pa.Table):
        self._names: list[list[str] | None] = []
        if set(SOURCES) <= set(table.column_names):
            self._names = table.column("source_name").to_pylist()
            self._rank, self._score = (ListColumn(table.column(name)) for name in SOURCES[1:])

    def of(self, row: int) -> SourceInput | None:
        """Of a request's candidates; None where the log does not tell."""
        names = self._names[row] if self._names else None
        if not names:
            return None
        rank, score = (column[row].reshape(-1, len(names)) for column in (self._rank, self._score))
        return SourceInput(tuple(names), rank, score)


class ListColumn:
    """A list column as flat NumPy values, row by row without copies; nulls are NaN, False or 0."""

    def __init__(self, column: pa.ChunkedArray):
        array = column.combine_chunks()
        array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        self.offsets = np.append(0, np.cumsum(lengths.astype(np.int64)))
        values = array.flatten()
        if values.null_count:
            fill: Any = float("nan") if pa.types.is_floating(values.type) else pa.scalar(0).cast(values.type)
            values = values.fill_null(fill)
        self.values = values.to_numpy(zero_copy_only=False)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]
