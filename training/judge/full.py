"""Judges a full ranker on held-out rows: per action AUC, log loss and calibration, and NDCG of the utility, by client.

Reads the rows that training.full.rows makes; only candidates that were shown count. No Ray, no files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.errors import DataError
from cluster.settings.clients import Client
from training.metrics.by_action import figures_by_action
from training.metrics.intervals import Interval, bootstrap
from training.metrics.ranking import ideal_dcg, ndcg, order_by
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.rows import ListRows
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
    """Compare `models` (the candidate first) over the same shown candidates, with visit count too.

    `rows` is a table of training.full.rows.MakeRows; where it has `order_score`, the order that serving gives without
    a full ranker is judged too, as `without_full`. A model of another schema than `schema` cannot be among them.

    An action counts by the inverse of what its position did for it, as the candidate has learnt that: people act more
    on what stands first, so the order that made the log would seem better than it is. NDCG divides by what a request
    had to gain, so a request then counts by how much its best order gains from these weights.
    """
    batch = RequestBatch.from_table(rows, schema)
    if batch.labels is None or batch.position is None:
        raise DataError("rows without labels or positions cannot be judged: make them from the serving log")
    scored = {name: _probabilities(rows, schema, model) for name, model in models.items()}
    first = next(iter(models))
    shown = judged_rows(batch.position, batch.labels, batch.request)
    names = np.asarray(rows.column("client").to_pylist(), dtype=object)
    orders = {name: _utility(p, names[batch.request], clients, schema) for name, p in scored.items()}
    orders["visit_count"] = batch.candidates[:, schema.candidate.index("graph_score")]
    if "order_score" in rows.column_names and not rows.column("order_score").null_count:
        orders["without_full"] = ListRows(rows).flat("order_score", np.float32)[0]
    odds = models[first].position_odds(batch)
    position_lift = odds / (1.0 + scored[first] * (odds - 1.0))  # of the chance of an action, not of its odds
    values, weights = _ndcg(orders, batch, names, clients, schema, shown, position_lift)
    groups = {"all": np.ones(rows.num_rows, bool), **{c: names == c for c in sorted(set(names))}}
    return FullReport(
        requests=rows.num_rows,
        ndcg={n: {g: bootstrap(v[m], weights[m]) for g, m in groups.items()} for n, v in values.items()},
        differences={
            n: {g: bootstrap((values[first] - v)[m], weights[m]) for g, m in groups.items()}
            for n, v in values.items()
            if n != first
        },
        actions={n: _by_action(p, batch, shown, schema) for n, p in scored.items()},
        finite=bool(np.isfinite(scored[first]).all()),
        constant=bool(len(orders[first]) > 1 and np.ptp(orders[first]) == 0),
    )


def _utility(
    probability: np.ndarray, client: np.ndarray, clients: Mapping[str, Client], schema: RankerSchema
) -> np.ndarray:
    """float32[N] of probabilities float[N, A] by the weights of each candidate's client, object[N]."""
    out = np.zeros(len(client), np.float32)
    for name in set(client):
        mine = client == name
        out[mine] = utility(probability[mine], clients[name].utility, schema.actions)
    return out


def _ndcg(
    orders: Mapping[str, np.ndarray],
    batch: RequestBatch,
    names: np.ndarray,
    clients: Mapping[str, Client],
    schema: RankerSchema,
    shown: np.ndarray,
    position_lift: np.ndarray,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """NDCG of each order by request, float[B], NaN without an action, and what a request counts in their means.

    That is its ideal DCG with actions weighted by 1 / `position_lift` (float[N, A]), over the one without weights.
    """
    worth = {n: np.array([clients[n].utility.get(a, 0.0) for a in schema.actions], np.float32) for n in set(names)}
    labels = np.nan_to_num(batch.labels)  # type: ignore[arg-type]
    starts = np.append(np.searchsorted(batch.request, np.arange(len(names))), len(batch.request))
    values, weights = {name: np.full(len(names), np.nan) for name in orders}, np.zeros(len(names))
    for i, client in enumerate(names):
        part = np.arange(starts[i], starts[i + 1])[shown[starts[i] : starts[i + 1]]]
        gain = (labels[part] / position_lift[part]) @ worth[client]
        plain = ideal_dcg(labels[part] @ worth[client], NDCG_AT)
        weights[i] = ideal_dcg(gain, NDCG_AT) / plain if plain > 0 else 0.0
        for name, score in orders.items():
            values[name][i] = ndcg(gain[order_by(score[part])], NDCG_AT)
    return values, weights


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
    return figures_by_action(
        probability[shown], labels, np.ones_like(labels), batch.request[shown], client, schema.actions, schema.clients
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    return None if isinstance(value, float) and value != value else value
