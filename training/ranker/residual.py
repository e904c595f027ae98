"""The lightweight ranker's score as a term of every logit: the network learns what is missing from it.

logit = a[client, action] * standardised score + network(x). Before the first step the network is zero and `a` a fit of
one slope an action, so an untrained ranker has the lightweight ranker's order; with few data it stays near it. As in
boosting and in residual learning (He et al., CVPR 2016), what is there need not be learnt again.
"""

import numpy as np
import torch
from torch import Tensor, nn


class ScoreResidual(nn.Module):
    """Margins float[N] of the clients' lightweight rankers → what they add to the logits, float[N, A]."""

    mean: Tensor
    scale: Tensor

    def __init__(self, clients: int, actions: int) -> None:
        super().__init__()
        self.slope = nn.Embedding(clients + 1, actions)
        nn.init.zeros_(self.slope.weight)
        self.register_buffer("mean", torch.zeros(clients + 1))
        self.register_buffer("scale", torch.ones(clients + 1))  # 1 / standard deviation; 0 = constant in training

    @torch.no_grad()
    def learn(self, score: np.ndarray, client: np.ndarray) -> None:
        """Mean and deviation of each client's scores; the unknown client, and one without scores, take everybody's."""
        known = np.isfinite(score)
        for row in range(len(self.mean)):
            own = score[known & (client == row)] if row else score[known]
            values = (own if len(own) else score[known]).astype(np.float64)
            deviation = float(values.std()) if len(values) else 0.0
            self.mean[row] = float(values.mean()) if len(values) else 0.0
            self.scale[row] = 1 / deviation if deviation > 0 else 0.0

    def standardised(self, score: Tensor, client: Tensor) -> Tensor:
        """float[N, 1]; 0 for a candidate without a score."""
        return torch.nan_to_num((score - self.mean[client]) * self.scale[client], nan=0.0).unsqueeze(-1)

    def forward(self, score: Tensor, client: Tensor) -> Tensor:
        """`client` int64[N]."""
        out: Tensor = self.slope(client) * self.standardised(score, client)
        return out
