"""The multi-task loss: weighted cross-entropy per action, with fixed or learned task weights and an optional
ranking part.

A candidate may carry several actions (save and click), so each action is a yes/no of its own. `hide` is trained
like the others; it counts against a candidate only in the utility.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.ranker.evaluate import HeldOutScores
from training.ranker.inputs import Targets


def per_task_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Weighted mean cross-entropy of each action, float[A]; an action without any weight in the batch gives 0."""
    losses = F.binary_cross_entropy_with_logits(logits, targets.labels, reduction="none")
    total = targets.weights.sum(0)
    return (losses * targets.weights).sum(0) / total.clamp(min=1e-6)


def listwise_loss(logits: Tensor, targets: Targets, n_requests: int) -> Tensor:
    """Softmax over each request's candidates against its labels, float[A]; requests without a positive do not
    count. A candidate that was drawn stands in the sum for all that it was drawn from, by its weight.
    """
    a = logits.shape[1]
    where = targets.request.unsqueeze(1).expand(-1, a)
    seen = targets.weights > 0
    masked = logits.masked_fill(~seen, -30.0)
    top = logits.new_full((n_requests, a), -30.0).scatter_reduce(0, where, masked.detach(), "amax")
    spread = (masked - top.gather(0, where)).exp() * targets.weights
    norm = logits.new_zeros(n_requests, a).scatter_add(0, where, spread)
    log_share = masked - top.gather(0, where) - norm.gather(0, where).clamp(min=1e-12).log()
    mass = targets.labels * targets.weights
    return -(log_share * mass).sum(0) / mass.sum(0).clamp(min=1e-6)


class MultiTaskLoss(nn.Module):
    """Scalar loss. With `uncertainty`, task k weighs exp(-s_k) and pays s_k / 2 for a learned s_k (Kendall et al.
    2018); the s_k are this module's parameters and must be given to the optimiser.
    """

    fixed: Tensor

    def __init__(
        self, actions: int, task_weights: tuple[float, ...] = (), uncertainty: bool = False, listwise: float = 0.0
    ) -> None:
        super().__init__()
        fixed = torch.tensor(task_weights or (1.0,) * actions, dtype=torch.float32)
        assert len(fixed) == actions, "one task weight per action"
        self.register_buffer("fixed", fixed)
        self.listwise = listwise
        self.log_variance = nn.Parameter(torch.zeros(actions)) if uncertainty else None

    def forward(self, logits: Tensor, targets: Targets, n_requests: int) -> tuple[Tensor, Tensor]:
        """(scalar to minimise, cross-entropy per action float[A] detached)."""
        entropy = per_task_loss(logits, targets)
        tasks = entropy
        if self.listwise:
            tasks = (1 - self.listwise) * entropy + self.listwise * listwise_loss(logits, targets, n_requests)
        if self.log_variance is not None:
            tasks = (-self.log_variance).exp() * tasks + 0.5 * self.log_variance
        return (tasks * self.fixed).sum() / self.fixed.sum(), entropy.detach()

    @torch.no_grad()
    def held_out(self, entropy: np.ndarray, scored: HeldOutScores) -> float:
        """The same loss of validation requests with cross-entropy float[A], NaN for an action of unknown labels.

        Learned task weights stay out of it: they change from epoch to epoch.
        """
        fixed = self.fixed.cpu().numpy()
        tasks = entropy
        if self.listwise:
            targets = Targets(*(torch.from_numpy(a) for a in (scored.labels, scored.weights, scored.request)))
            ranked = listwise_loss(torch.from_numpy(scored.logits), targets, int(scored.request.max()) + 1)
            tasks = (1 - self.listwise) * entropy + self.listwise * ranked.numpy()
        return float(np.nansum(tasks * fixed) / fixed.sum())
