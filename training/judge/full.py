"""Judges a full ranker on held-out rows: per action AUC, log loss and calibration, and NDCG of the utility, by client.

Reads the rows that training.full.rows makes; which of their candidates count says training.judge.judged. No Ray, no
files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cluster.errors import DataError
from cluster.settings.clients import Client
from training.judge.judged import judged_rows, user_units
from training.judge.position import position_lift, without_position
from training.judge.served import as_served
from training.metrics.by_action import figures_by_action
from training.metrics.intervals import Interval, bootstrap
from training.metrics.ranking import order_by, tells_apart
from training.metrics.sampled import ndcg_of_sample
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.rows import ListRows
from training.ranker.utility import utility

if TYPE_CHECKING:  # torch loads only where a network is scored
    from training.ranker.scorer import FullScorer

NDCG_AT = 10
CHUNK = 64
"""Requests in one forward pass."""


@dataclass(frozen=True)
class FullReport:
    """`ndcg` and `differences` are NDCG@10 on utility; a difference is the first ordering minus that one. A candidate
    that was drawn counts for all that it was drawn from, which reaches further down (training.metrics.sampled).

    Intervals resample users where the log knows them, else requests.
    """

    requests: int
    alike: int  # requests with an action in which no order is better than another: they count in no figure of NDCG
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
            "alike": self.alike,
            "ndcg@10": plain(self.ndcg),
            "differences": plain(self.differences),
            "actions": _without_nan(self.actions),
        }


def evaluate_full(
    rows: pa.Table, schema: RankerSchema, clients: Mapping[str, Client], models: Mapping[str, "FullScorer"]
) -> FullReport:
    """Compare `models` (the candidate first) over the same judged candidates, with visit count too.

    `rows` is a table of training.full.rows.MakeRows; where it has `order_score`, the order that serving gives without
    a full ranker is judged too, as `without_full`. A model of another schema than `schema` cannot be among them.

    A full ranker sees survivors alone: those of a live request are what the log has of it; of a replayed one, which
    made no cut, they follow from `order_score` (training.judge.served).

    An action counts by the inverse of what its position did for it (training.judge.position), as the candidate has
    learnt that.
    """
    batch = RequestBatch.from_table(rows, schema)
    if batch.labels is None or batch.position is None:
        raise DataError("rows without labels or positions cannot be judged: make them from the serving log")
    scored = {name: probabilities(rows, schema, model) for name, model in models.items()}
    first = next(iter(models))
    acted = np.asarray((np.nan_to_num(batch.labels) > 0).any(axis=1))
    judged = judged_rows(batch.position, acted, batch.request)
    names = np.asarray(rows.column("client").to_pylist(), dtype=object)
    orders = {name: utilities(p, names[batch.request], clients, schema) for name, p in scored.items()}
    constant = _constant(orders[first], batch.request)
    orders["visit_count"] = batch.candidates[:, schema.candidate.index("graph_score")]
    if "order_score" in rows.column_names and not rows.column("order_score").null_count:
        orders["without_full"] = ListRows(rows).flat("order_score", np.float32)[0]
        for name in scored:
            orders[name] = _as_served(orders[name], orders["without_full"], batch, names, clients)
    lift = position_lift(models[first].position_odds(batch), scored[first])
    values, weights = _ndcg(orders, batch, names, clients, schema, judged, lift)
    groups = {"all": np.ones(rows.num_rows, bool), **{c: names == c for c in sorted(set(names))}}
    users = rows.column("user").to_numpy() if "user" in rows.column_names else np.arange(rows.num_rows)

    def intervals(of: np.ndarray) -> dict[str, Interval]:
        return {g: bootstrap(of[m], weights[m], unit=user_units(users[m])) for g, m in groups.items()}

    return FullReport(
        requests=rows.num_rows,
        alike=int((np.isnan(values[first]) & (weights > 0)).sum()),
        ndcg={n: intervals(v) for n, v in values.items()},
        differences={n: intervals(values[first] - v) for n, v in values.items() if n != first},
        actions={n: _by_action(p, batch, judged, schema) for n, p in scored.items()},
        finite=bool(np.isfinite(scored[first]).all()),
        constant=constant,
    )


def _as_served(
    score: np.ndarray, before: np.ndarray, batch: RequestBatch, names: np.ndarray, clients: Mapping[str, Client]
) -> np.ndarray:
    """float32[N]: `score`, and for replayed requests the order that is served behind the stage of `before`."""
    assert batch.position is not None
    stands_for = batch.stands_for()
    out = score.copy()
    for i, rows in enumerate(_rows_of(batch, len(names))):
        if not (batch.position[rows] >= 0).any():
            survivors = clients[names[i]].sizes.lightweight
            out[rows] = as_served(score[rows], before[rows], stands_for[rows], survivors)
    return out


def _rows_of(batch: RequestBatch, requests: int) -> list[slice]:
    """Where the candidates of each request stand."""
    ends = np.searchsorted(batch.request, np.arange(requests), "right")
    return [slice(start, end) for start, end in zip(np.append(0, ends), ends, strict=False)]


def _constant(score: np.ndarray, request: np.ndarray) -> bool:
    """Whether all candidates of each request have one score: an order of nothing, whatever it says of requests."""
    same = request[1:] == request[:-1]
    return bool(same.any() and (score[1:] == score[:-1])[same].all())


def utilities(
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
    judged: np.ndarray,
    lift: np.ndarray,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """NDCG of each order by request, float[B], NaN where no order is better, and what a request counts in their means.

    `lift` float[N, A]: what its position did for each candidate.
    """
    worth = {n: np.array([clients[n].utility.get(a, 0.0) for a in schema.actions], np.float32) for n in set(names)}
    labels = np.nan_to_num(batch.labels)  # type: ignore[arg-type]
    stands_for = batch.stands_for()
    values, weights = {name: np.full(len(names), np.nan) for name in orders}, np.zeros(len(names))
    for i, (client, rows) in enumerate(zip(names, _rows_of(batch, len(names)), strict=True)):
        part = np.flatnonzero(judged[rows]) + rows.start
        gain, weights[i] = without_position(labels[part], lift[part], worth[client], NDCG_AT)
        for name, score in orders.items() if tells_apart(labels[part] @ worth[client]) else ():
            order = order_by(score[part])
            values[name][i] = ndcg_of_sample(gain[order], stands_for[part][order], NDCG_AT)
    return values, weights


def probabilities(rows: pa.Table, schema: RankerSchema, model: "FullScorer") -> np.ndarray:
    """float32[N, A] of a table of rows, some requests at a time."""
    parts = [
        model.score(RequestBatch.from_table(rows.slice(at, CHUNK), schema)) for at in range(0, rows.num_rows, CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(schema.actions)), np.float32)


def _by_action(probability: np.ndarray, batch: RequestBatch, rows: np.ndarray, schema: RankerSchema) -> dict[str, Any]:
    labels = np.nan_to_num(batch.labels[rows])  # type: ignore[index]
    client = batch.client[batch.request][rows]
    return figures_by_action(
        probability[rows], labels, np.ones_like(labels), batch.request[rows], client, schema.actions, schema.clients
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    return None if isinstance(value, float) and value != value else value
