"""Rows of the full ranker: one joined request → one row with its candidates nested (docs/ranker.md).

The candidates are the impressed ones, plus a sample of the survivors that were not shown, with inverse-rate weights: of
live requests if the settings say so, of replayed ones always, as those showed nothing and would bring no negatives.
Contents (pretrained vectors and topics) come from the graph version that served the request. Knows nothing of
Ray and torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.catalog.catalog import Catalog
from cluster.data.schema import IMPRESSED, RANKED
from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.hashing import hash_ids
from cluster.kinds import GRAPH
from cluster.store.bundles import BundleStore
from training.full.margins import Margins
from training.judge.orders import Order
from training.lightweight.strategies.strategy import sample
from training.log.arrays import COLUMNS, Request, read_requests
from training.log.attribution import as_datetime64
from training.log.dropout import SourceDropout
from training.ranker.batch import RankerSchema
from training.ranker.columns import LIGHTWEIGHT_SCORE, columns_of, with_score

LOG_COLUMNS = (
    *COLUMNS,
    "graph_version",
    "sequence_pin_id",
    "sequence_action",
    "sequence_client",
    "sequence_age_hours",
)
"""Columns of the serving log that rows are made from."""


@dataclass(frozen=True)
class Contents:
    """Content vectors of pins, by the graph version that a request was served with."""

    root: str
    current: str  # version that stands in for one that is no longer stored; its width is the model's

    def require_ids(self, ids: str) -> None:
        """Raises BundleError when the graph has ids of another type: no pin would have a vector."""
        _catalog(self.root, self.current).require_ids(ids)

    def width(self) -> int:
        """V + T."""
        return _catalog(self.root, self.current).pins.content_width

    def vectors(self, version: str | None, ids: np.ndarray) -> np.ndarray:
        """float32[n, V + T]; zero rows for pins that the graph does not know."""
        catalog = _catalog(self.root, self.current)
        if version and version != self.current:
            logged = _catalog_if_stored(self.root, version)
            catalog = logged or catalog
        index = catalog.graph.pin_ids.index_of(ids)
        return catalog.pins.content(index, self.width())


@lru_cache(maxsize=4)
def _catalog(root: str, version: str) -> Catalog:
    bundle = BundleStore(root).open(GRAPH, version, verify=False)  # maps files: a checksum would read all of them
    return Catalog.open(Path(bundle.path), bundle.version)


@lru_cache(maxsize=64)
def _catalog_if_stored(root: str, version: str) -> Catalog | None:
    try:
        return _catalog(root, version)
    except BundleError:  # removed since; remembered, or every row would look for it again
        return None


def ranker_schema(
    features: FeatureSet,
    clients: Sequence[str],
    actions: Sequence[str],
    n_topics: int,
    sequence_length: int,
    scored: bool = True,
) -> RankerSchema:
    """The tensor contract of a project's full ranker: every logged feature, categorical ones as embeddings, and the
    lightweight ranker's score where the rows are `scored`.
    """
    shared, candidate = columns_of(features)
    return RankerSchema(
        shared=shared.dense_names,
        candidate=candidate.dense_names + (LIGHTWEIGHT_SCORE,) * scored,
        actions=tuple(actions),
        clients=tuple(clients),
        n_topics=n_topics,
        sequence_length=sequence_length,
        schema_hash=features.schema_hash,
        categorical=tuple((n, s) for s, c in (("shared", shared), ("candidate", candidate)) for n in c.category_names),
    )


@dataclass(frozen=True)
class MakeRows:
    """Table of joined requests → table of rows. Requests that showed nothing and drew no survivor give no row."""

    contents: Contents
    features: FeatureSet
    sequence_length: int
    unimpressed: int = 0  # survivors not shown, sampled from each request that showed something
    unimpressed_replayed: int | None = 60  # the same of those that showed nothing; None: all of them, to judge by
    scores: Mapping[str, Margins] | None = None  # by client, NaN for one without; None: rows without that column
    source_dropout: float = 0.0  # share of the requests that forget what one source said
    orders: Mapping[str, Order] = field(default_factory=dict)  # client → its order without a full ranker, to judge by

    def __call__(self, table: pa.Table) -> pa.Table:
        """In the layout of `RequestBatch.from_table`, and `requested_at` and `request_id` beside it."""
        table = table.combine_chunks()
        at = as_datetime64(table.column("requested_at"))
        made = []
        for request in map(SourceDropout(self.features, self.source_dropout), read_requests(table)):
            kept, weight = self._choose(request)
            if len(kept):
                row = {name: table.column(name)[request.row] for name in LOG_COLUMNS if name not in COLUMNS}
                made.append(self._row(request, kept, weight, row, table.column("pin_id")[request.row], at[request.row]))
        columns: dict[str, list] = {name: [row[name] for row in made] for name in ROW_SCHEMA.names}
        return pa.table({n: pa.array(v, ROW_SCHEMA.field(n).type) for n, v in columns.items()}, schema=ROW_SCHEMA)

    def _choose(self, request: Request) -> tuple[np.ndarray, np.ndarray]:
        acted = (request.actions > 0).any(axis=1)
        shown = (request.stage >= IMPRESSED) | acted
        rest = np.flatnonzero(~shown & (request.stage == RANKED))
        replayed = self.unimpressed_replayed
        most = self.unimpressed if request.live else len(rest) if replayed is None else replayed
        picked, rate = sample(rest, most, request.request_id)
        weight = np.where(shown, 1.0, 0.0).astype(np.float32)
        weight[picked] = 1.0 / (rate * request.kept_rate) if len(picked) else 0.0
        kept = np.flatnonzero(weight > 0)
        return kept, weight[kept]

    def _row(
        self, request: Request, kept: np.ndarray, weight: np.ndarray, row: dict, pin_ids: pa.Scalar, at: np.datetime64
    ) -> dict:
        version = row["graph_version"].as_py()
        of_request, of_candidate = columns_of(self.features)
        shared, shared_category = of_request.split(request.shared)
        candidates, candidate_category = of_candidate.split(request.candidates[kept])
        if self.scores is not None:
            margins = self.scores.get(request.client)
            score = np.full(len(kept), np.nan) if margins is None else margins(request.only(kept), at)
            candidates = with_score(candidates, score)
        ids = _ids(pin_ids)[kept]
        length = self.sequence_length
        history = _ids(row["sequence_pin_id"])[:length]
        names = {k: (row[f"sequence_{k}"].as_py() or [])[:length] for k in ("action", "client", "age_hours")}
        order = self.orders.get(request.client)
        return {
            "request_id": request.request_id,
            "requested_at": int(at.astype(np.int64)),
            "client": request.client,
            "user": request.user,
            "shared": shared,
            "shared_category": shared_category,
            "candidates": candidates.ravel(),
            "candidate_category": candidate_category.ravel(),
            "pin_hash": hash_ids(ids),
            "vectors": self.contents.vectors(version, ids).ravel(),
            "position": request.position[kept],
            "labels": request.actions[kept].ravel(),
            "weights": weight,
            "order_score": order([request.only(kept)])[0].astype(np.float32) if order else None,
            "sequence_pin_hash": hash_ids(history),
            "sequence_action": names["action"],
            "sequence_client": names["client"],
            "sequence_age": names["age_hours"],
            "sequence_vectors": self.contents.vectors(version, history).ravel() if len(history) else [],
        }


ROW_SCHEMA = pa.schema(
    [
        ("request_id", pa.string()),
        ("requested_at", pa.timestamp("us", tz="UTC")),
        ("client", pa.string()),
        ("user", pa.int64()),  # hashed, as in training.log.arrays
        ("shared", pa.list_(pa.float32())),
        ("shared_category", pa.list_(pa.int64())),
        ("candidates", pa.list_(pa.float32())),
        ("candidate_category", pa.list_(pa.int64())),
        ("pin_hash", pa.list_(pa.int64())),
        ("vectors", pa.list_(pa.float32())),
        ("position", pa.list_(pa.int16())),
        ("labels", pa.list_(pa.float32())),
        ("weights", pa.list_(pa.float32())),
        ("order_score", pa.list_(pa.float32())),  # null unless the rows are to be judged
        ("sequence_pin_hash", pa.list_(pa.int64())),
        ("sequence_action", pa.list_(pa.string())),
        ("sequence_client", pa.list_(pa.string())),
        ("sequence_age", pa.list_(pa.float32())),
        ("sequence_vectors", pa.list_(pa.float32())),
    ]
)


def _ids(values: pa.Scalar) -> np.ndarray:
    """int64[n] or object[n] of a list scalar; a null list is empty."""
    if not values.is_valid:
        return np.zeros(0, np.int64)
    if pa.types.is_integer(values.values.type):
        return np.asarray(values.values.to_numpy(zero_copy_only=False))
    return np.array(values.values.to_pylist(), dtype=object)
