"""Position bias as a shallow tower (Zhao et al. 2019): people act more on what stands first, whatever it is.

In training each logit gets a bias by client and position, so the rest of the network need not explain it. The
biases are centred on the training data's own mix of positions, so leaving them out when serving means "at an
average position". Candidates that were not shown have no position and get no bias: otherwise the bias would soak up
all that separates seen from unseen.
"""

import torch
from torch import Tensor, nn

_EXACT = 8  # positions with a bucket of their own; beyond, each bucket doubles


def bucket_of(position: Tensor, buckets: int) -> Tensor:
    """int64[N] positions → buckets 0..buckets-1: exact up to 8, then by powers of two."""
    rank = position.clamp(min=0)
    doubling = _EXACT + torch.log2((rank.clamp(min=_EXACT)).float() / _EXACT).floor().long()
    return torch.where(rank < _EXACT, rank, doubling).clamp(max=buckets - 1)


class PositionBias(nn.Module):
    """Bias float[N, A] by client and position; zero on average over the positions seen in training."""

    share: Tensor

    def __init__(self, clients: int, actions: int, buckets: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.everyone = nn.Parameter(torch.zeros(buckets, actions))
        self.client = nn.Parameter(torch.zeros(clients + 1, buckets, actions))
        self.register_buffer("share", torch.full((clients + 1, buckets), 1.0 / buckets))

    @torch.no_grad()
    def learn(self, client: Tensor, position: Tensor) -> None:
        """Count how often each client showed each position (int64[N] both; -1 = not shown)."""
        shown = position >= 0
        counts = torch.zeros_like(self.share)
        where = (client[shown], bucket_of(position[shown], self.buckets))
        counts.index_put_(where, torch.ones(int(shown.sum())), accumulate=True)
        counts[0] = counts.sum(0)  # the unknown client: everybody's mix
        total = counts.sum(1, keepdim=True)
        self.share.copy_(torch.where(total > 0, counts / total.clamp(min=1), self.share))

    def forward(self, client: Tensor, position: Tensor) -> Tensor:
        """int64[N], int64[N] → float[N, A]."""
        table = self.everyone + self.client
        table = table - (self.share.unsqueeze(-1) * table).sum(1, keepdim=True)
        bias = table[client, bucket_of(position, self.buckets)]
        return bias * (position >= 0).unsqueeze(-1)
