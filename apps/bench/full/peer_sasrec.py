"""SASRec as a peer of the full ranker: what the sequence of films alone says of the candidates."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apps.bench.full.movielens import ACTIONS
from apps.bench.full.peers import EPOCHS
from training.ranker.batch import Floats, RequestBatch


class SASRec(nn.Module):
    """Kang and McAuley 2018, compact: a causal transformer over the last films; a candidate's logit is its dot
    product with the last state. One logit, used for every action.
    """

    def __init__(self, length: int, buckets: int = 1 << 13, width: int = 32) -> None:
        super().__init__()
        self.pins = nn.Embedding(buckets + 1, width, padding_idx=0)
        nn.init.normal_(self.pins.weight, std=0.05)
        self.slot = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, 0.2, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.bias = nn.Embedding(buckets + 1, 1)
        nn.init.zeros_(self.bias.weight)

    def forward(self, sequence: Tensor, pins: Tensor) -> Tensor:
        """Sequence [B, L] newest first, candidates [B, C] → logits [B, C]."""
        state = self.states(sequence)[:, 0]
        out: Tensor = (self.pins(pins) @ state.unsqueeze(-1)).squeeze(-1) + self.bias(pins).squeeze(-1)
        return out

    def states(self, sequence: Tensor) -> Tensor:
        """Sequence [B, L] newest first → the state [B, L, W] behind each of its films and those before it."""
        x = self.pins(sequence) + self.slot.weight
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril(-1)  # newest first: see older slots only
        states: Tensor = self.layers(x, mask=causal, src_key_padding_mask=None)
        return states


def sasrec(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
    """Trained on `click` of the same candidates; needs the same number of candidates in every request, as this
    replay has.
    """
    torch.manual_seed(0)
    net = SASRec(train.sequence_pin.shape[1])

    def inputs(batch: RequestBatch) -> tuple[Tensor, Tensor]:
        def row(ids: np.ndarray) -> Tensor:
            return torch.from_numpy(np.where(ids == 0, 0, ids % (1 << 13) + 1))

        return row(batch.sequence_pin), row(batch.candidate_pin).view(batch.n_requests, -1)

    def clicks(batch: RequestBatch) -> Tensor:
        assert batch.labels is not None
        return torch.from_numpy(np.ascontiguousarray(batch.labels[:, 1])).view(batch.n_requests, -1)

    (seq, pins), truth = inputs(train), clicks(train)
    held, held_truth = inputs(validation), clicks(validation)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-3)
    best = float("inf")
    state = net.state_dict()
    shuffle = torch.Generator().manual_seed(0)
    for _ in range(2 * EPOCHS):
        net.train()
        for rows in torch.randperm(len(seq), generator=shuffle).split(64):
            optimiser.zero_grad()
            F.binary_cross_entropy_with_logits(net(seq[rows], pins[rows]), truth[rows]).backward()
            optimiser.step()
        net.eval()
        with torch.no_grad():
            loss = float(F.binary_cross_entropy_with_logits(net(*held), held_truth))
        if loss < best:
            best, state = loss, {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(state)
    with torch.no_grad():
        p = torch.sigmoid(net(*inputs(test))).reshape(-1, 1).numpy()
    return np.repeat(p, len(ACTIONS), 1)
