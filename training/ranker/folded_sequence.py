"""The action sequence of one request without padding, and what candidates take from it. CPU, inference only.

Same results as `SequenceEncoder` and `CandidateAttention`, which work on padded batches: here a request is encoded over
its real actions alone, with few torch calls.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from training.ranker.sequence import CandidateAttention, SequenceEncoder


class FoldedSequence:
    """Encodes one request's actions and lets its candidates attend to them."""

    def __init__(self, encoder: SequenceEncoder, attention: CandidateAttention) -> None:
        self._encoder, self._heads = encoder, attention.heads
        self._layers = list(encoder.layers.layers) if encoder.layers is not None else []
        scale = 1 / math.sqrt(attention.width // attention.heads)
        self._query = (attention.query.weight * scale).t().contiguous(), attention.query.bias * scale
        self._key_value = attention.key_value
        self._nothing = torch.cat([attention.nothing[0, 0], attention.nothing[1, 0]], 1)  # [1, 2·width]

    def encode(self, item: Tensor, action: Tensor, client: Tensor, age: Tensor, slot: Tensor) -> Tensor:
        """float[n, width] of n real actions in the slots `slot`; `item` float[n, inputs], `age` in hours."""
        e = self._encoder
        age = age.clamp(min=0.0).unsqueeze(1)
        x = e.project(torch.cat([item, 0.2 * torch.log1p(age), (-age / 24.0).exp()], 1))
        x = x + F.embedding(action, e.action.weight) + F.embedding(client, e.client.weight) + e.place.weight[slot]
        n, width = x.shape
        for layer in self._layers:
            attend, heads = layer.self_attn, layer.self_attn.num_heads
            normed = F.layer_norm(x, (width,), layer.norm1.weight, layer.norm1.bias, layer.norm1.eps)
            mixed = F.linear(normed, attend.in_proj_weight, attend.in_proj_bias).view(n, 3, heads, width // heads)
            query, key, value = mixed.permute(1, 2, 0, 3).unbind(0)
            shares = torch.softmax(torch.bmm(query, key.transpose(1, 2)) / math.sqrt(width // heads), -1)
            got = torch.bmm(shares, value).transpose(0, 1).reshape(n, width)
            x = x + F.linear(got, attend.out_proj.weight, attend.out_proj.bias)
            normed = F.layer_norm(x, (width,), layer.norm2.weight, layer.norm2.bias, layer.norm2.eps)
            x = x + layer.linear2(torch.relu_(layer.linear1(normed)))
        return F.layer_norm(x, (width,), e.norm.weight, e.norm.bias, e.norm.eps)

    def attend(self, candidate: Tensor, encoded: Tensor) -> Tensor:
        """float[N, width] for candidates float[N, candidate_width] of the request whose actions are `encoded`."""
        key_value = torch.cat([self._nothing, self._key_value(encoded)], 0) if len(encoded) else self._nothing
        m, width = key_value.shape[0], key_value.shape[1] // 2
        key, value = key_value.view(m, 2, self._heads, -1).permute(1, 2, 0, 3).unbind(0)
        weight, bias = self._query
        query = torch.addmm(bias, candidate, weight).view(-1, self._heads, width // self._heads).transpose(0, 1)
        shares = torch.softmax(torch.bmm(query, key.transpose(1, 2)), -1)
        return torch.bmm(shares, value).transpose(0, 1).reshape(-1, width)
