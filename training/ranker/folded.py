"""The full ranker's forward pass for a CPU, with everything folded that training no longer changes. No Ray, no files.

Gives what `FullRanker` gives in eval mode, to rounding, in little more than half the time: torch keeps the large
products; numba does what torch needs many passes for (numeric columns, gates, heads); requests are encoded without
padding; layer norm's weights and all constants are part of the matrices. Nothing is compiled at start-up but three
small kernels, which numba caches on disk.
"""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.ranker.batch import Floats, Ints, RequestBatch
from training.ranker.crossing import CrossLayers
from training.ranker.folded_numeric import FoldedNumeric
from training.ranker.folded_sequence import FoldedSequence
from training.ranker.kernels import heads, mix
from training.ranker.model import FullRanker, HashTable

TILE = 256
"""Candidates that go through at once: what they need stays in a core's own cache, which 500 would not."""


class Folded:
    """Logits of batches; read-only after construction, so any number of threads may call it."""

    @torch.no_grad()
    def __init__(self, model: FullRanker) -> None:
        m = self._model = model.float().eval()
        self._user = FoldedNumeric(m.shared_numeric, m.user_layer.weight[:, : m.shared_numeric.out].numpy())
        self._user_rest = m.user_layer.weight[:, m.shared_numeric.out :].t().contiguous()
        self._candidate = FoldedNumeric(
            m.candidate_numeric, m.candidate_layer.weight[:, : m.candidate_numeric.out].numpy()
        )
        self._candidate_rest = m.candidate_layer.weight[:, m.candidate_numeric.out :].t().contiguous()
        self._sequence = FoldedSequence(m.sequence, m.attention) if m.use_sequence else None
        self._scale = None if m.client_scale is None else 2 * torch.sigmoid(m.client_scale.weight)
        self._crosses: list[tuple[Tensor, Tensor, Tensor]] | None = None
        if isinstance(c := m.crossing, CrossLayers):
            downs = [cast(nn.Linear, layer).weight.t().contiguous() for layer in c.down]
            ups = [cast(nn.Linear, layer) for layer in c.up]
            self._crosses = [(d, u.weight.t().contiguous(), u.bias) for d, u in zip(downs, ups, strict=True)]
        e = m.experts
        self._width, self._hidden = m.norm.normalized_shape[0], e.count * e.hidden
        weight: Tensor = e.first.weight
        bias: Tensor = e.first.bias
        if e.gate is not None:
            weight, bias = torch.cat([weight, e.gate.weight]), torch.cat([bias, e.gate.bias])
        self._first = (weight * m.norm.weight).t().contiguous(), bias + weight @ m.norm.bias
        own = torch.zeros(m.widths.clients + 1, e.tasks * e.count)
        self._gate_bias = (own if e.client_gate is None else e.client_gate.weight).numpy()
        members = [np.flatnonzero(row == 0) for row in e.allowed.numpy()]
        self._members = np.full((e.tasks, max(map(len, members))), -1, np.int64)
        for task, row in enumerate(members):
            self._members[task, : len(row)] = row
        self._head = m.tower_out.weight[:, :, 0].numpy(), m.tower_out.bias[:, 0, 0].numpy()

    @torch.inference_mode()
    def logits(self, batch: RequestBatch) -> Floats:
        """Uncalibrated float32[N, A]."""
        m = self._model
        n, b = batch.n_candidates, batch.n_requests
        ends = np.searchsorted(batch.request, np.arange(b), side="right").tolist()
        spans = list(zip([0, *ends[:-1]], ends, strict=True))
        encoded = [self._encode(batch, r) for r in range(b)] if self._sequence is not None else []
        user = self._users(batch, encoded)
        client = batch.client[batch.request]
        out = np.empty((n, m.widths.actions), np.float32)
        for r, (start, end) in enumerate(spans):
            for at in range(start, end, TILE):
                rows = slice(at, min(at + TILE, end))
                met = self._meet(batch, rows, user[r], encoded[r] if encoded else None)
                if self._scale is not None:
                    met *= self._scale[batch.client[r]]
                self._judge(met, client[rows], out[rows])
        if m.residual is not None:
            score = np.array(batch.candidates[:, -1], np.float32)  # Arrow's memory is read-only
            out += m.residual(torch.from_numpy(score), torch.from_numpy(client)).numpy()
        return out

    def _meet(self, batch: RequestBatch, rows: slice, user: Tensor, encoded: Tensor | None) -> Tensor:
        """x_0 float[n, width] of some candidates of one request, before the client's scale."""
        candidate = self._candidates(batch, rows)
        met = torch.empty(len(candidate), self._width)
        u, c = len(user), candidate.shape[1]
        met[:, :u] = user
        met[:, u : u + c] = candidate
        if encoded is not None and self._sequence is not None:
            met[:, u + c :] = self._sequence.attend(candidate, encoded)
        return met

    def _judge(self, x0: Tensor, client: np.ndarray, out: Floats) -> None:
        """Crossing, experts and towers: logits of x_0 float[n, width] into out float32[n, A]."""
        m, n = self._model, len(x0)
        if self._crosses is None:
            x = m.crossing(x0)
        else:
            x = x0
            for down, up, bias in self._crosses:
                x = torch.addcmul(x, x0, torch.addmm(bias, torch.mm(x, down), up))
        normed = F.layer_norm(x, (self._width,), eps=m.norm.eps)
        first = torch.addmm(self._first[1], normed, self._first[0])
        hidden = torch.relu_(first[:, : self._hidden]).view(n, m.experts.count, m.experts.hidden).transpose(0, 1)
        experts = torch.relu_(m.experts.second(hidden))
        if m.experts.gate is None:
            mixed = experts.expand(m.experts.tasks, -1, -1)
        else:
            mixed = torch.empty(m.experts.tasks, n, experts.shape[2])
            gate = first[:, self._hidden :].numpy()
            mix(gate, self._gate_bias, client, m.experts.count, self._members, experts.numpy(), mixed.numpy())
        heads(m.tower_in(mixed).numpy(), *self._head, m.client_bias.weight.numpy(), client, out)

    def _encode(self, batch: RequestBatch, request: int) -> Tensor:
        """Encoded real actions float[n, width] of one request."""
        assert self._sequence is not None
        slot = np.flatnonzero(batch.sequence_pin[request])
        if not len(slot):
            return torch.zeros(0, self._model.config.sequence_width)

        def of(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values[request][slot])

        item = [of(batch.sequence_vector)]
        if self._model.pins is not None:
            item.insert(0, _embedded(self._model.pins, batch.sequence_pin[request][slot]))
        action = of(batch.sequence_action)
        client = of(batch.sequence_client)
        age = of(batch.sequence_age)
        return self._sequence.encode(torch.cat(item, 1), action, client, age, torch.from_numpy(slot))

    def _users(self, batch: RequestBatch, encoded: list[Tensor]) -> Tensor:
        m = self._model
        parts = _categories(m.shared_tables, batch.shared_category)
        if encoded:
            length, none = batch.sequence_pin.shape[1], torch.zeros(1, m.config.sequence_width)
            parts.append(torch.stack([e.mean(0) if len(e) else none[0] for e in encoded]))
            # where a request has fewer actions than slots, the padded ones count as zeros
            parts.append(torch.stack([(e if len(e) == length else torch.cat([e, none])).amax(0) for e in encoded]))
        out = m.user_layer.bias + F.embedding(torch.from_numpy(batch.client), m.client_embedding.weight)
        if parts:
            out = torch.addmm(out, torch.cat(parts, 1), self._user_rest)
        self._user.add_to(out.numpy(), batch.shared)
        return torch.relu_(out)

    def _candidates(self, batch: RequestBatch, rows: slice) -> Tensor:
        m = self._model
        parts = _categories(m.candidate_tables, batch.candidate_category, rows)
        if m.pins is not None:
            parts.append(_embedded(m.pins, batch.candidate_pin[rows]))
        if batch.candidate_vector.shape[1]:
            parts.append(
                torch.from_numpy(np.array(batch.candidate_vector[rows], np.float32))
            )  # Arrow's memory is read-only
        bias = m.candidate_layer.bias
        if parts:
            out = torch.addmm(bias, parts[0] if len(parts) == 1 else torch.cat(parts, 1), self._candidate_rest)
        else:
            out = bias.expand(rows.stop - rows.start, -1).contiguous()
        self._candidate.add_to(out.numpy(), batch.candidates[rows])
        return torch.relu_(out)


def _categories(tables: nn.ModuleList, hashed: Ints | None, rows: slice = slice(None)) -> list[Tensor]:
    """One float[n, width] a category; a batch without categories has none."""
    return [_embedded(cast(HashTable, t), hashed[rows, i]) for i, t in enumerate(tables) if hashed is not None]


def _embedded(table: HashTable, hashed: np.ndarray) -> Tensor:
    """Rows float[n, width] of hashed ids int64[n]; 0 reads the zero row."""
    row = np.where(hashed == 0, 0, hashed % table.buckets + 1)
    return F.embedding(torch.from_numpy(row), table.table.weight)
