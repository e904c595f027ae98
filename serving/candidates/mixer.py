"""What several sources found as one table: each pin once, with every source's rank and score; topped up, ordered.

Without a model the order is the walk's, where it is the only source, else reciprocal rank fusion
(cluster/features/source.py). NumPy only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cluster.contract.ids import shown
from cluster.features.source import fused
from cluster.settings.clients import WALK
from serving.candidates.query import Query
from serving.candidates.sources.popular import popular_pins
from serving.candidates.union import unite
from serving.policy.labels import LabelRules
from serving.request.candidates import Candidates, SourceColumns
from serving.request.found import FoundPins, Origin, Visits

TOLD_PINS = 3
"""Unknown query pins that an answer names."""

POPULAR = "popular"


def mix(query: Query, found: Mapping[str, FoundPins], budget: Mapping[str, int], labels: LabelRules) -> Candidates:
    """The candidates of a request. `found` and `budget` by source, in the client's order.

    Popular pins fill up what an answer lacks, or, without any candidate or behind a filter, what the ranking chooses
    from; then come the pins that the request brings itself.
    """
    catalog = query.catalog
    alone = set(query.client.sources) == {WALK}
    given = unite(list(found.values()), catalog.graph.n_pins, query.pins, query.exclude, query.allowed)
    table = MixedPins(tuple(found), *given)
    score = None
    n = len(table.pins)
    if not alone:
        score = fused(table.rank)
        order = np.argsort(-score, kind="stable")
        table, score = table.pick(order), score[order]
    enough = n and query.allowed is None  # of rare matches sources find some, and the ranking should know more
    wanted = query.wanted if enough else max(query.wanted, query.client.sizes.lightweight)
    if n < wanted:
        table = table.behind(popular_pins(query, wanted - n, table.pins), catalog.graph.pin_degree, POPULAR)
    if len(query.also):
        table = table.behind(query.also[~np.isin(query.also, table.pins)])
    if score is not None and len(table.pins) > n:
        score = fused(table.rank)
    return _candidates(query, table, found, budget, score, labels.bits(catalog, table.pins))


@dataclass(frozen=True)
class MixedPins:
    """Each pin once, with what each source says of it: the columns of `Union`, by the names of the sources."""

    names: tuple[str, ...]
    pins: np.ndarray
    rank: np.ndarray
    score: np.ndarray
    at: np.ndarray

    def pick(self, rows: np.ndarray) -> "MixedPins":
        """These rows in this order."""
        columns = (self.pins, self.rank, self.score, self.at)
        return MixedPins(self.names, *(column.take(rows, axis=0) for column in columns))  # of rows faster than [rows]

    def behind(self, pins: np.ndarray, degree: np.ndarray | None = None, source: str = "") -> "MixedPins":
        """With further pins at the end; as of `source`, whose ranks go on behind all that there is."""
        if not len(pins):
            return self
        names = self.names if not source or source in self.names else (*self.names, source)
        n = len(self.pins)
        rank = np.full((n + len(pins), len(names)), -1, np.int32)
        at = rank.copy()
        score = np.full(rank.shape, np.nan, np.float32)
        for mine, before in ((rank, self.rank), (score, self.score), (at, self.at)):
            mine[:n, : len(self.names)] = before
        if degree is not None:
            rank[n:, names.index(source)] = np.arange(n, n + len(pins))
            score[n:, names.index(source)] = degree[pins]
        return MixedPins(names, np.concatenate([self.pins, pins]).astype(np.int32), rank, score, at)


def _candidates(
    query: Query,
    table: MixedPins,
    found: Mapping[str, FoundPins],
    budget: Mapping[str, int],
    score: np.ndarray | None,
    labels: np.ndarray | None,
) -> Candidates:
    """The table, with all that the walk knows of its pins; `score` None: the walk's own."""
    ids = query.catalog.graph.pin_ids
    n = len(table.pins)
    columns = {name: _Column.of(table, name, found.get(name, FoundPins.nothing())) for name in table.names}
    walk = columns.get(WALK, _Column(n, np.empty(0, np.int64), np.empty(0, np.int64), FoundPins.nothing()))
    seen = walk.found.visits or Visits.nothing(len(query.pins))
    walk_score = walk.spread(walk.found.score)
    return Candidates(
        graph_version=query.catalog.version,
        locale=query.locale,
        pins=table.pins,
        pin_ids=ids.ids_of(table.pins),
        score=walk_score if score is None else score,
        sources=SourceColumns(
            names=table.names,
            budget=tuple(budget.get(name, 0) for name in table.names),
            rank=table.rank,
            score=table.score,
            origins=tuple(column.origin() for column in columns.values()),
        ),
        walk_score=walk_score,
        visits=walk.spread(seen.visits),
        hits=walk.spread(seen.hits),
        by_query=walk.spread(seen.by_query),
        query_pins=query.pins,
        query_ids=ids.ids_of(query.pins),
        query_weight=query.weight,
        query_age=query.age,
        sequence=query.sequence,
        labels=labels,
        notes=_notes(query),
    )


@dataclass(frozen=True)
class _Column:
    """Where the pins that one source found stand in the table."""

    n: int
    rows: np.ndarray  # int64[m], of the table
    at: np.ndarray  # int64[m], of what the source gave
    found: FoundPins

    @classmethod
    def of(cls, table: MixedPins, name: str, found: FoundPins) -> "_Column":
        at = table.at[:, table.names.index(name)]
        rows = np.flatnonzero(at >= 0)
        return cls(len(at), rows, at[rows], found)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """The source's values as the table's, 0 for a pin that it did not find."""
        out: np.ndarray = np.zeros((self.n, *values.shape[1:]), values.dtype)
        out[self.rows] = values.take(self.at, axis=0)
        return out

    def origin(self) -> Origin:
        """The source's origins, -1 for a pin that it did not find."""
        origin = self.found.origin
        if not origin.kind:
            return Origin()
        of = np.full(self.n, -1, np.int32)
        of[self.rows] = origin.of[self.at]
        return Origin(origin.kind, of)


def _notes(query: Query) -> tuple[str, ...]:
    """What the answer should say of the query pins that start no walk."""
    told = [f"query pin {shown(pin)} is not in the graph" for pin in query.unknown[:TOLD_PINS]]
    told += [f"query pin {shown(pin)} was hidden by the user and starts no walk" for pin in query.barred[:TOLD_PINS]]
    return tuple(told)
