"""Judges a full ranker on held-out rows: per action AUC, log loss and calibration, and NDCG of the utility, by client.

Reads the rows that training.ranker_rows makes; only candidates that were shown count. No Ray, no files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.clients import Client
from cluster.errors import DataError
from training.metrics import Interval, bootstrap, ndcg_of_request
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.metrics import task_metrics
from training.ranker.scorer import FullScorer, utility

NDCG_AT = 10
CHUNK = 64
"""Requests in one forward pass."""


@dataclass(frozen=True)
class FullReport:
    """`by_client` and `differences` are of NDCG@10 on utility; a difference is the first ordering minus that one."""

    requests: int
    ndcg: dict[str, dict[str, Interval]]  # ordering -> client ("all" too)
    differences: dict[str, dict[str, Interval]]
    actions: dict[str, dict[str, Any]]  # ordering (models only) -> action -> auc, log_loss, ece, …
    finite: bool
    constant: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; a figure that cannot be had is None."""

        def plain(table: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
            return {name: {c: i.to_dict() for c, i in row.items()} for name, row in table.items()}

        return {
            "requests": self.requests,
            "ndcg@10": plain(self.ndcg),
            "differences": plain(self.differences),
            "actions": _without_nan(self.actions),
        }


def evaluate_full(
    rows: pa.Table, schema: RankerSchema, clients: Mapping[str, Client], models: Mapping[str, FullScorer]
) -> FullReport:
    """Compare `models` (the candidate first) with each other and with visit count over the same shown candidates.

    `rows` is a table of training.ranker_rows.MakeRows. A model of another schema than `schema` cannot be among them.
    """
    scored = {name: _probabilities(rows, schema, model) for name, model in models.items()}
    batch = RequestBatch.from_table(rows, schema)
    if batch.labels is None or batch.position is None:
        raise DataError("rows without labels or positions cannot be judged: make them from the serving log")
    shown = judged_rows(batch.position, batch.labels, batch.request)
    names = rows.column("client").to_pylist()
    visits = batch.candidates[:, schema.candidate.index("graph_score")]
    orders: dict[str, np.ndarray] = {}
    worth = [np.array([clients[n].utility.get(a, 0.0) for a in schema.actions], np.float32) for n in names]
    for name, probability in scored.items():
        score = np.zeros(len(batch.request), np.float32)
        for client in set(names):
            mine = np.isin(batch.request, [i for i, n in enumerate(names) if n == client])
            score[mine] = utility(probability[mine], clients[client].utility, schema.actions)
        orders[name] = score
    orders["visit_count"] = visits
    starts = np.append(np.searchsorted(batch.request, np.arange(rows.num_rows)), len(batch.request))
    values = {name: np.full(rows.num_rows, np.nan) for name in orders}
    for i in range(rows.num_rows):
        part = np.arange(starts[i], starts[i + 1])[shown[starts[i] : starts[i + 1]]]
        gain = np.nan_to_num(batch.labels[part]) @ worth[i]
        for name, score in orders.items():
            values[name][i] = ndcg_of_request(score[part], gain, NDCG_AT)
    client_of = np.asarray(names, dtype=object)
    groups = {"all": np.ones(rows.num_rows, bool), **{c: client_of == c for c in sorted(set(names))}}
    first = next(iter(orders))
    every = scored[first] if scored else np.zeros((0, 1), np.float32)
    return FullReport(
        requests=rows.num_rows,
        ndcg={n: {g: bootstrap(v[m]) for g, m in groups.items()} for n, v in values.items()},
        differences={
            n: {g: bootstrap((values[first] - v)[m]) for g, m in groups.items()}
            for n, v in values.items()
            if n != first
        },
        actions={n: _by_action(p, batch, shown, schema) for n, p in scored.items()},
        finite=bool(np.isfinite(every).all()),
        constant=bool(len(every) > 1 and np.ptp(orders[first]) == 0),
    )


def judged_rows(position: np.ndarray, labels: np.ndarray, request: np.ndarray) -> np.ndarray:
    """bool[N]: shown candidates and those acted on; all rows of a request that showed nothing (replayed history)."""
    live = np.zeros(int(request.max(initial=-1)) + 1, bool)
    live[request[position >= 0]] = True
    judged: np.ndarray = (position >= 0) | (np.nan_to_num(labels) > 0).any(axis=1) | ~live[request]
    return judged


def _probabilities(rows: pa.Table, schema: RankerSchema, model: FullScorer) -> np.ndarray:
    parts = [
        model.score(RequestBatch.from_table(rows.slice(at, CHUNK), schema)) for at in range(0, rows.num_rows, CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(schema.actions)), np.float32)


def _by_action(probability: np.ndarray, batch: RequestBatch, shown: np.ndarray, schema: RankerSchema) -> dict[str, Any]:
    labels = np.nan_to_num(batch.labels[shown])  # type: ignore[index]
    client = batch.client[batch.request][shown]
    return task_metrics(
        probability[shown], labels, np.ones_like(labels), batch.request[shown], client, schema.actions, schema.clients
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    return None if isinstance(value, float) and value != value else value
