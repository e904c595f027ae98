"""Score held-out requests with a network and tell how well it did. Torch and arrays: knows nothing of Ray and files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from training.metrics.probability import auc, log_loss
from training.ranker.batch import Floats, Ints, RequestBatch
from training.ranker.inputs import to_inputs, to_targets


@dataclass
class HeldOutScores:
    """Logits of the validation candidates and what they are compared with."""

    logits: Floats  # [N, A]
    labels: Floats
    weights: Floats  # 0 = unknown label
    request: Ints  # [N]
    client: Ints  # [N]


@torch.no_grad()
def predict(model: nn.Module, batches: Iterable[RequestBatch], device: torch.device | str = "cpu") -> HeldOutScores:
    """Logits without position bias and dropout, for labelled batches."""
    model.eval()
    parts: list[tuple[Any, ...]] = []
    seen = 0
    for batch in batches:
        targets = to_targets(batch)
        logits = model(to_inputs(batch, device)).float().cpu().numpy()
        request = batch.request + seen
        client = batch.client[batch.request]
        parts.append((logits, targets.labels.numpy(), targets.weights.numpy(), request, client))
        seen += batch.n_requests
    return HeldOutScores(*(np.concatenate(p) for p in zip(*parts, strict=True)))


def evaluate(model: nn.Module, batches: Sequence[RequestBatch], device: torch.device) -> HeldOutScores:
    """`predict` over all workers: every one scores its share and gets everybody's results."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return predict(model, batches, device)
    mine = list(batches[dist.get_rank() :: dist.get_world_size()])
    gathered: list[HeldOutScores | None] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, predict(model, mine, device) if mine else None)
    parts = [part for part in gathered if part is not None]
    for before, part in pairwise(parts):
        part.request += before.request.max() + 1
    names = ("logits", "labels", "weights", "request", "client")
    return HeldOutScores(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def figures(scored: HeldOutScores) -> dict[str, list[float]]:
    """`validation_loss` and `validation_auc`, each a float per action; NaN for an action without known labels."""
    probability = 1 / (1 + np.exp(-scored.logits.astype(np.float64)))
    losses: list[float] = []
    aucs: list[float] = []
    for action in range(probability.shape[1]):
        p = probability[:, action]
        label = scored.labels[:, action]
        weight = scored.weights[:, action]
        known = weight > 0
        losses.append(log_loss(p, label, weight))
        aucs.append(auc(p[known], label[known], weight[known]))
    return {"validation_loss": losses, "validation_auc": aucs}
