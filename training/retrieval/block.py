"""One layer of the encoder: causal attention that knows how far back and how long ago, and a gated residual.

LiGR (Borisyuk et al., "From features to transformers: redefining ranking for scalable impact", 2025): what a layer adds
passes a gate that it learns from its input. Relative biases: Zhai et al., "Actions speak louder than words" (HSTU),
ICML 2024.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GAPS = 40
"""Buckets of time: gap of up to 2^k seconds, k below this; 2^39 s are seventeen thousand years."""


class RelativeBias(nn.Module):
    """What attention adds for a distance in steps and for a gap in time, a number for each head."""

    def __init__(self, heads: int, length: int, of_time: bool) -> None:
        super().__init__()
        self.step = nn.Parameter(torch.zeros(length, heads))
        self.gap = nn.Parameter(torch.zeros(GAPS, heads)) if of_time else None

    def forward(self, bucket: Tensor | None, length: int) -> Tensor:
        """float[B or 1, heads, L, L] of a `bucket` int64[B, L, L] (`gap_buckets`); minus infinity for what is later."""
        steps = torch.arange(length, device=self.step.device)
        back = steps[:, None] - steps[None]
        bias = self.step[back.clamp(0, len(self.step) - 1)].masked_fill((back < 0)[..., None], -torch.inf)[None]
        if self.gap is not None and bucket is not None:
            bias = bias + F.embedding(bucket, self.gap)
        return bias.permute(0, 3, 1, 2)


def gap_buckets(asked: Tensor, seconds: Tensor) -> Tensor:
    """int64[B, L, L]: log2 of the seconds between the moment of each question and each action; 0 for none."""
    gap = (asked[:, :, None] - seconds[:, None, :]).clamp(min=0)
    return torch.log2(gap.double() + 1).floor().long().clamp(max=GAPS - 1)


class GatedBlock(nn.Module):
    """x += σ(Wx) ⊙ attention(LN x); x += σ(Wx) ⊙ SwiGLU(LN x). Without gates the plain residual of a transformer."""

    def __init__(self, width: int, heads: int, length: int, dropout: float, gated: bool, of_time: bool) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.bias = RelativeBias(heads, length, of_time)
        self.out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        inner = 8 * width // 3
        self.up = nn.Linear(width, 2 * inner)
        self.down = nn.Linear(inner, width)
        self.attention_gate = nn.Linear(width, width) if gated else None
        self.feed_gate = nn.Linear(width, width) if gated else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bucket: Tensor | None) -> Tensor:
        """float[B, L, width] → the same; a position sees itself and those before it."""
        x = x + self._gate(self.attention_gate, x, self.dropout(self._attend(self.attention_norm(x), bucket)))
        first, second = self.up(self.feed_norm(x)).chunk(2, -1)
        return x + self._gate(self.feed_gate, x, self.dropout(self.down(F.silu(first) * second)))

    @staticmethod
    def _gate(gate: nn.Linear | None, x: Tensor, added: Tensor) -> Tensor:
        return added if gate is None else torch.sigmoid(gate(x)) * added

    def _attend(self, x: Tensor, bucket: Tensor | None) -> Tensor:
        b, length, width = x.shape
        query, key, value = self.project(x).view(b, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5 + self.bias(bucket, length)
        seen = torch.softmax(scores, -1) @ value
        return self.out(seen.transpose(1, 2).reshape(b, length, width))
