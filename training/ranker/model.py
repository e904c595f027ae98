"""The full ranker's network: one model, all clients, all actions. Torch only: knows nothing of Ray, Arrow or
files.

Request side (dense columns, categories, client, the encoded action sequence) runs once per request; the
candidate side (dense columns, hashed pin, content vector, attention over the sequence) once per candidate. Both
meet in x_0, which is scaled per client, crossed, and given to experts whose gates know the client. One small
tower per action gives a logit.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.ranker.config import ModelConfig, Widths
from training.ranker.crossing import build_crossing
from training.ranker.experts import Experts, Grouped
from training.ranker.inputs import Inputs
from training.ranker.numeric import Numeric
from training.ranker.position import PositionBias
from training.ranker.residual import ScoreResidual
from training.ranker.sequence import CandidateAttention, SequenceEncoder


class HashTable(nn.Module):
    """Embedding rows by hashed id modulo the table's size; 0 (padding, missing) reads the zero row.

    The wanted share of collisions sets the size: n ids in m rows collide with about n/m others each.
    """

    def __init__(self, buckets: int, width: int, sparse: bool) -> None:
        super().__init__()
        self.buckets = buckets
        self.table = nn.Embedding(buckets + 1, width, padding_idx=0, sparse=sparse)
        with torch.no_grad():
            self.table.weight.normal_(std=0.05)
            self.table.weight[0].zero_()

    def forward(self, hashed: Tensor) -> Tensor:
        """int64[...] → float[..., width]."""
        row = torch.where(hashed == 0, 0, hashed % self.buckets + 1)
        out: Tensor = self.table(row)
        return out


class Encoded(NamedTuple):
    """What the network looks up and encodes of each input of a batch, before any of them meet.

    R rows on the request side: one a request, unless somebody asks about batches that lie between two others.
    """

    shared: Tensor  # float[R, dense columns and categories]
    candidate: Tensor  # float[N, dense columns, categories, pin, content vector]
    client_user: Tensor  # float[R, user_width]
    client_scale: Tensor | None  # float[R, width]
    client_gate: Tensor | None  # float[R, A * experts]
    client_bias: Tensor  # float[R, A]
    score: Tensor | None  # float[N, 1], the standardised lightweight score
    client_slope: Tensor | None  # float[R, A], what it counts
    sequence: Tensor | None  # float[B, L, d], 0 where there is no action
    real: Tensor  # bool[B, L], slots that hold an action
    acted: Tensor | None = None  # float[R, 1], 0 as if there were no action, 1 (None) as it is


class FullRanker(nn.Module):
    """Logits float[N, A]. `sparse` makes the hashed tables give sparse gradients (CPU training)."""

    def __init__(self, widths: Widths, config: ModelConfig, sparse: bool = False) -> None:
        super().__init__()
        self.widths, self.config = widths, config
        c, w = config, widths
        self.shared_numeric = Numeric(w.shared, c.bins)
        self.candidate_numeric = Numeric(w.candidate, c.bins)
        self.pins = HashTable(c.pin_buckets, c.pin_width, sparse) if c.pin_buckets else None
        pin_width = c.pin_width if self.pins is not None else 0
        self.shared_tables = nn.ModuleList(
            HashTable(c.category_buckets, c.category_width, sparse) for _ in range(w.shared_category)
        )
        self.candidate_tables = nn.ModuleList(
            HashTable(c.category_buckets, c.category_width, sparse) for _ in range(w.candidate_category)
        )
        self.use_sequence = w.sequence > 0 and c.sequence_layers >= 0 and pin_width + w.vector > 0
        sequence_width = c.sequence_width if self.use_sequence else 0
        user_in = self.shared_numeric.out + w.shared_category * c.category_width + 2 * sequence_width
        candidate_in = self.candidate_numeric.out + w.candidate_category * c.category_width + pin_width + w.vector
        self.user_layer = nn.Linear(max(user_in, 1), c.user_width)
        self.client_embedding = nn.Embedding(w.clients + 1, c.user_width)
        nn.init.normal_(self.client_embedding.weight, std=0.05)
        self.candidate_layer = nn.Linear(max(candidate_in, 1), c.candidate_width)
        if self.use_sequence:
            self.sequence = SequenceEncoder(
                pin_width + w.vector,
                w.actions,
                w.clients,
                w.sequence,
                c.sequence_width,
                c.sequence_layers,
                c.sequence_heads,
                c.dropout,
            )
            self.attention = CandidateAttention(c.candidate_width, c.sequence_width, c.sequence_heads)
        width = c.user_width + c.candidate_width + sequence_width
        self.client_scale = nn.Embedding(w.clients + 1, width) if c.client_gates else None
        self.client_bias = nn.Embedding(w.clients + 1, w.actions)
        nn.init.zeros_(self.client_bias.weight)
        if self.client_scale is not None:
            nn.init.zeros_(self.client_scale.weight)
        self.crossing = build_crossing(c.crossing, width, c.crossing_layers, c.crossing_rank)
        self.norm = nn.LayerNorm(width)
        shared, own = (
            (1, 0) if c.experts == "shared" else (c.shared_experts, c.task_experts if c.experts == "ple" else 0)
        )
        self.experts = Experts(
            width, w.actions, w.clients, shared, own, c.expert_width, c.expert_out, c.dropout, c.client_gates
        )
        self.tower_in = Grouped(w.actions, c.expert_out, c.tower_width)
        self.tower_out = Grouped(w.actions, c.tower_width, 1)
        self.residual = ScoreResidual(w.clients, w.actions) if c.residual and w.score else None
        self.position = PositionBias(w.clients, w.actions, c.position_buckets) if c.position else None
        self.drop = nn.Dropout(c.dropout)

    def hashed_parameters(self) -> list[nn.Parameter]:
        """The hashed tables' weights: their own learning rate, no decay."""
        return [p for m in self.modules() if isinstance(m, HashTable) for p in m.parameters()]

    def encode(self, x: Inputs) -> Encoded:
        """What is looked up and encoded of each input, before any of them meet."""
        shared = [self.shared_numeric(x.shared)]
        shared += [table(x.shared_category[:, i]) for i, table in enumerate(self.shared_tables)]
        real = x.sequence_pin != 0
        sequence = None
        if self.use_sequence:
            item = ([self.pins(x.sequence_pin)] if self.pins is not None else []) + [x.sequence_vector]
            sequence = self.sequence(torch.cat(item, -1), x.sequence_action, x.sequence_client, x.sequence_age, real)
        candidate = [self.candidate_numeric(x.candidates)]
        candidate += [table(x.candidate_category[:, i]) for i, table in enumerate(self.candidate_tables)]
        if self.pins is not None:
            pin = self.pins(x.pin)
            if self.training and self.config.id_dropout:
                pin = pin * (torch.rand(len(pin), 1, device=pin.device) >= self.config.id_dropout)
            candidate.append(pin)
        candidate.append(x.vector)
        gate, residual = self.experts.client_gate, self.residual
        return Encoded(
            shared=torch.cat(shared, 1),
            candidate=torch.cat(candidate, 1),
            client_user=self.client_embedding(x.client),
            client_scale=None if self.client_scale is None else self.client_scale(x.client),
            client_gate=None if gate is None else gate(x.client),
            client_bias=self.client_bias(x.client),
            score=None if residual is None else residual.standardised(x.candidates[:, -1], x.client[x.request]),
            client_slope=None if residual is None else residual.slope(x.client),
            sequence=sequence,
            real=real,
        )

    def meet(self, e: Encoded, x: Inputs) -> Tensor:
        """Logits float[N, A] of encoded inputs; of `x` it reads who belongs to whom: request, slot, width."""
        parts = [e.shared]
        if e.sequence is not None:
            count = e.real.sum(1, keepdim=True).clamp(min=1)
            pooled = torch.cat([e.sequence.sum(1) / count, e.sequence.amax(1)], 1)
            parts.append(pooled if e.acted is None else pooled * e.acted)
        user = torch.relu(self.user_layer(_not_empty(torch.cat(parts, 1))) + e.client_user)
        candidate = torch.relu_(self.candidate_layer(_not_empty(e.candidate)))
        met = [user[x.request], candidate]
        if e.sequence is not None:
            found = self.attention(candidate, e.sequence, e.real, x.request, x.slot, x.width)
            nothing = self.attention.nothing[1, 0]
            met.append(found if e.acted is None else torch.lerp(nothing, found, e.acted[x.request]))
        x0 = torch.cat(met, 1)
        if e.client_scale is not None:
            x0 = x0 * (2 * torch.sigmoid(e.client_scale[x.request]))  # PEPNet's gate: starts at 1
        gate = None if e.client_gate is None else e.client_gate[x.request]
        mixed = self.experts(self.drop(self.norm(self.crossing(x0))), gate)
        hidden = torch.relu_(self.tower_in(mixed))
        logits: Tensor = self.tower_out(hidden).squeeze(-1).transpose(0, 1) + e.client_bias[x.request]
        if e.score is not None and e.client_slope is not None:
            logits = logits + e.client_slope[x.request] * e.score
        return logits

    def forward(self, x: Inputs) -> Tensor:
        """float[N, A]; position counts in training mode only."""
        logits = self.meet(self.encode(x), x)
        if self.training and self.position is not None and x.position is not None:
            logits = logits + self.position(x.client[x.request], x.position)
        return logits.float()


def _not_empty(x: Tensor) -> Tensor:
    """A column of zeros for a side without any, as a linear layer needs one."""
    return x if x.shape[1] else x.new_zeros(len(x), 1)
