"""The figures of `registry.PREDICTIONS` for each action of a model. Arrays in, numbers out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from training.metrics.cases import Predictions
from training.metrics.metric import Cuts, planned
from training.metrics.registry import PREDICTIONS

CUTS: Cuts = {"head": (20,)}


def figures_by_action(
    probability: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    request: np.ndarray,
    client: np.ndarray,
    actions: Sequence[str],
    clients: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Action → figure → value, and `…_by_client` → client → value for the metrics that are shown so.

    `probability`, `labels`, `weights` float[N, A], weight 0 = unknown label; `request` and `client` int[N], client 0
    = unknown, else 1 + its index in `clients`.
    """
    out = {}
    for i, action in enumerate(actions):
        known = weights[:, i] > 0
        case = Predictions(labels[known, i], weights[known, i], probability[known, i], request[known])
        out[action] = _figures(case, client[known], clients)
    return out


def _figures(case: Predictions, client: np.ndarray, clients: Sequence[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for metric, k in planned(PREDICTIONS, CUTS):
        out[metric.figure(k)] = metric.of(case, k)
        if metric.by_client:
            present = [(i, name) for i, name in enumerate(clients, 1) if (client == i).any()]
            out[f"{metric.figure(k)}_by_client"] = {name: metric.of(_only(case, client == i), k) for i, name in present}
    return out


def _only(case: Predictions, rows: np.ndarray) -> Predictions:
    """The case with these candidates alone (bool[N])."""
    return replace(
        case,
        label=case.label[rows],
        weight=case.weight[rows],
        probability=None if case.probability is None else case.probability[rows],
        request=None if case.request is None else case.request[rows],
    )
