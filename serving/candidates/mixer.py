"""What several sources found as one table: each pin once, with every source's rank and score; topped up, ordered.

Without a model the order is the walk's, where it is the only source, else reciprocal rank fusion
(cluster/features/source.py). NumPy only.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cluster.contract.ids import shown
from cluster.features.source import fused
from serving.candidates.query import Query
from serving.candidates.sources.popular import popular_pins
from serving.policy.labels import LabelRules
from serving.request.candidates import Candidates, SourceColumns
from serving.request.found import FoundPins, Origin, Visits

TOLD_PINS = 3
"""Unknown query pins that an answer names."""

POPULAR = "popular"

_scratch = threading.local()


def mix(query: Query, found: Mapping[str, FoundPins], budget: Mapping[str, int], labels: LabelRules) -> Candidates:
    """The candidates of a request. `found` and `budget` by source, in the client's order.

    Popular pins fill up what an answer lacks, or, without any candidate or behind a filter, what the ranking chooses
    from; then come the pins that the request brings itself.
    """
    kept = {name: _permitted(query, one) for name, one in found.items()}
    alone = set(query.client.sources) == {"walk"}
    table = MixedPins.of(kept, query.catalog.graph.n_pins)
    if not alone:
        table = table.pick(np.argsort(-fused(table.rank), kind="stable"))
    n = len(table.pins)
    enough = n and query.allowed is None  # of rare matches sources find some, and the ranking should know more
    wanted = query.wanted if enough else max(query.wanted, query.client.sizes.lightweight)
    if n < wanted:
        table = table.behind(popular_pins(query, wanted - n, table.pins), query.catalog.graph.pin_degree, POPULAR)
    table = table.behind(query.also[~np.isin(query.also, table.pins)])
    return _candidates(query, table, kept, budget, alone, labels.bits(query.catalog, table.pins))


@dataclass(frozen=True)
class MixedPins:
    """Each pin once, with what each source says of it: the columns of `SourceColumns`."""

    names: tuple[str, ...]
    pins: np.ndarray
    rank: np.ndarray
    score: np.ndarray

    @classmethod
    def of(cls, found: Mapping[str, FoundPins], n_pins: int) -> "MixedPins":
        """The pins of the first source, then those that each further one adds."""
        slot = _slots(n_pins)
        union = np.empty(0, np.int32)
        for one in found.values():
            new = one.pins[slot[one.pins] < 0]
            slot[new] = np.arange(len(union), len(union) + len(new))
            union = np.concatenate([union, new])
        rank = np.full((len(union), len(found)), -1, np.int32)
        score = np.full((len(union), len(found)), np.nan, np.float32)
        for column, one in enumerate(found.values()):
            rows = slot[one.pins]
            rank[rows, column] = np.arange(len(rows))
            score[rows, column] = one.score
        slot[union] = -1
        return cls(tuple(found), union, rank, score)

    def pick(self, rows: np.ndarray) -> "MixedPins":
        """These rows in this order."""
        return MixedPins(self.names, self.pins[rows], self.rank[rows], self.score[rows])

    def behind(self, pins: np.ndarray, degree: np.ndarray | None = None, source: str = "") -> "MixedPins":
        """With further pins at the end; as of `source`, whose ranks go on behind all that there is."""
        if not len(pins):
            return self
        names = self.names if not source or source in self.names else (*self.names, source)
        n = len(self.pins)
        rank = np.full((n + len(pins), len(names)), -1, np.int32)
        score = np.full(rank.shape, np.nan, np.float32)
        rank[:n, : len(self.names)], score[:n, : len(self.names)] = self.rank, self.score
        if degree is not None:
            rank[n:, names.index(source)] = np.arange(n, n + len(pins))
            score[n:, names.index(source)] = degree[pins]
        return MixedPins(names, np.concatenate([self.pins, pins]).astype(np.int32), rank, score)


def _candidates(
    query: Query,
    table: MixedPins,
    found: Mapping[str, FoundPins],
    budget: Mapping[str, int],
    alone: bool,
    labels: np.ndarray | None,
) -> Candidates:
    """The table, and behind it all that the walk knows of its pins."""
    ids = query.catalog.graph.pin_ids
    n = len(table.pins)
    columns = {name: _Column.of(table, name, found.get(name, FoundPins.nothing())) for name in table.names}
    walk = columns.get("walk", _Column(n, np.empty(0, np.int64), np.empty(0, np.int64), FoundPins.nothing()))
    seen = walk.found.visits or Visits.nothing(len(query.pins))
    walk_score = walk.spread(walk.found.score)
    return Candidates(
        graph_version=query.catalog.version,
        locale=query.locale,
        pins=table.pins,
        pin_ids=ids.ids_of(table.pins),
        score=walk_score if alone else fused(table.rank),
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
    ranks: np.ndarray  # int64[m], of the source
    found: FoundPins

    @classmethod
    def of(cls, table: MixedPins, name: str, found: FoundPins) -> "_Column":
        ranks = table.rank[:, table.names.index(name)]
        rows = np.flatnonzero((ranks >= 0) & (ranks < len(found.pins)))
        return cls(len(ranks), rows, ranks[rows], found)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """The source's values as the table's, 0 for a pin that it did not find."""
        out: np.ndarray = np.zeros((self.n, *values.shape[1:]), values.dtype)
        out[self.rows] = values[self.ranks]
        return out

    def origin(self) -> Origin:
        """The source's origins, -1 for a pin that it did not find."""
        origin = self.found.origin
        if not origin.kind:
            return Origin()
        of = np.full(self.n, -1, np.int32)
        of[self.rows] = origin.of[self.ranks]
        return Origin(origin.kind, of)


def _permitted(query: Query, found: FoundPins) -> FoundPins:
    """Without what the request may not be answered with, which no source should have given."""
    if not len(found.pins):
        return found
    keep = query.keeps(found.pins)
    return found if keep.all() else found.only(np.flatnonzero(keep))


def _slots(n_pins: int) -> np.ndarray:
    """This thread's int32[n_pins], all -1: clearing the entries that were used costs less than a new one."""
    slot: np.ndarray | None = getattr(_scratch, "slot", None)
    if slot is None or len(slot) < n_pins:
        slot = _scratch.slot = np.full(n_pins, -1, np.int32)
    return slot


def _notes(query: Query) -> tuple[str, ...]:
    """What the answer should say of the query pins that start no walk."""
    told = [f"query pin {shown(pin)} is not in the graph" for pin in query.unknown[:TOLD_PINS]]
    told += [f"query pin {shown(pin)} was hidden by the user and starts no walk" for pin in query.barred[:TOLD_PINS]]
    return tuple(told)
