"""The optimisers of the full ranker behind one `step`: dense weights, hashed tables, clipping, the rate's schedule."""

import math

import torch
from torch import nn

from training.ranker.config import FitConfig
from training.ranker.loss import MultiTaskLoss
from training.ranker.model import FullRanker


class Optimiser:
    """AdamW for dense weights, lazy Adam for sparse tables, one schedule: warm-up, then cosine when the length is
    known.
    """

    def __init__(self, model: FullRanker, loss: MultiTaskLoss, config: FitConfig, total_steps: int | None) -> None:
        tables = model.hashed_parameters()
        ids = {id(p) for p in tables}
        self.dense = [p for p in model.parameters() if id(p) not in ids]
        matrices = [p for p in self.dense if p.ndim > 1]
        others = [p for p in self.dense if p.ndim <= 1] + list(loss.parameters())
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay, "lr": config.learning_rate},
            {"params": others, "weight_decay": 0.0, "lr": config.learning_rate},
        ]
        sparse = any(m.sparse for m in model.modules() if isinstance(m, nn.Embedding))
        if tables and not sparse:
            groups.append({"params": tables, "weight_decay": 0.0, "lr": config.id_learning_rate})
        self.parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, fused=True)]
        if tables and sparse:
            self.parts.append(torch.optim.SparseAdam(tables, lr=config.id_learning_rate))
        self.config, self.total = config, total_steps
        self.base = [[g["lr"] for g in part.param_groups] for part in self.parts]

    def step(self, done: int) -> None:
        """Clip, set the rate for step `done` (from 0), update."""
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.dense, self.config.clip)
        factor = min(1.0, (done + 1) / max(self.config.warmup_steps, 1))
        if self.total:
            factor *= 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(done / self.total, 1.0)))
        for part, rates in zip(self.parts, self.base, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            part.step()

    def zero(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)
