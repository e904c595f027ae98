"""The user's last actions: a transformer encodes them once per request; every candidate then attends to the
result.

TransAct (Xia et al. 2023) puts the candidate into the sequence, which means one encoding per candidate. Here
the candidate only asks (cross attention over the request's keys and values), so 500 candidates cost one
encoding and 500 small look-ups.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SequenceEncoder(nn.Module):
    """Actions → float[B, L, width] and which slots are real, bool[B, L]."""

    def __init__(
        self, inputs: int, actions: int, clients: int, length: int, width: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.project = nn.Linear(inputs + 2, width)
        self.action = nn.Embedding(actions + 1, width)
        self.client = nn.Embedding(clients + 1, width)
        self.place = nn.Embedding(max(length, 1), width)  # of each slot; stored weights carry the name
        for table in (self.action, self.client, self.place):
            nn.init.normal_(table.weight, std=0.05)
        layer = nn.TransformerEncoderLayer(
            width,
            heads,
            dim_feedforward=2 * width,
            dropout=dropout,
            batch_first=True,
            norm_first=True,
            activation="relu",
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False) if layers > 0 else None
        self.norm = nn.LayerNorm(width)

    def forward(self, item: Tensor, action: Tensor, client: Tensor, age: Tensor, real: Tensor) -> Tensor:
        """`item` float[B, L, inputs]: what is known of each acted-on pin. `age` hours."""
        logged = torch.log1p(age.clamp(min=0.0)).unsqueeze(-1)
        day = (-age.clamp(min=0.0) / 24.0).exp().unsqueeze(-1)
        x = self.project(torch.cat([item, 0.2 * logged, day], -1)) + self.action(action) + self.client(client)
        x = x + self.place.weight[: x.shape[1]]
        if self.layers is not None:
            # an all-padding row would make attention divide by zero: let such a row see slot 0, and mask it afterwards
            blind = ~real
            first = torch.arange(real.shape[1], device=real.device) == 0
            blind = blind & ~(first & ~real.any(1, keepdim=True))
            x = self.layers(x, src_key_padding_mask=blind)
        return self.norm(x) * real.unsqueeze(-1)


class CandidateAttention(nn.Module):
    """For each candidate, a mixture of the encoded actions that matter to it: float[N, width]."""

    def __init__(self, candidate_width: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.query = nn.Linear(candidate_width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.nothing = nn.Parameter(torch.zeros(2, 1, 1, width))  # a slot "none of these", also what new users have

    def forward(
        self, candidate: Tensor, sequence: Tensor, real: Tensor, request: Tensor, slot: Tensor, width: int
    ) -> Tensor:
        """`candidate` float[N, candidate_width], `sequence` float[B, L, width]; request, slot, width as in Inputs."""
        b, _, d = sequence.shape
        key, value = self.key_value(sequence).chunk(2, -1)
        key = torch.cat([self.nothing[0].expand(b, 1, d).to(key.dtype), key], 1)
        value = torch.cat([self.nothing[1].expand(b, 1, d).to(value.dtype), value], 1)
        mask = torch.cat([torch.ones_like(real[:, :1]), real], 1)
        query = self.query(candidate)
        padded = query.unsqueeze(0) if b == 1 else query.new_zeros(b, width, d).index_put((request, slot), query)

        def split(x: Tensor) -> Tensor:
            return x.view(b, -1, self.heads, d // self.heads).transpose(1, 2)

        out = F.scaled_dot_product_attention(split(padded), split(key), split(value), attn_mask=mask[:, None, None, :])
        out = out.transpose(1, 2).reshape(b, -1, d)
        return out[0] if b == 1 else out[request, slot]
