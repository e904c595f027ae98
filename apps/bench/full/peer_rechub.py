"""DCNv2 and DeepFM of torch-rechub as peers of the full ranker, one model per action (they are single-task).

torch-rechub is no dependency of the project: `pip install torch-rechub`; without it these peers are reported missing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from apps.bench.full.movielens import ACTIONS
from apps.bench.full.peers import Peer, dense_and_pin, flat_features, train_net
from training.ranker.batch import Floats, RequestBatch
from training.ranker.numeric import Numeric

MLP = {"dims": [128, 64], "dropout": 0.2, "activation": "relu"}
BUCKETS = 1 << 13


class _Wrapped(nn.Module):
    """A rechub model behind the peers' interface: dense columns and a film, a logit out."""

    def __init__(self, make: Callable[[list[Any], list[Any]], nn.Module], width: int) -> None:
        super().__init__()
        from torch_rechub.basic.features import DenseFeature, SparseFeature

        self.net = make([DenseFeature(f"d{i}") for i in range(width)], [SparseFeature("pin", BUCKETS, embed_dim=8)])

    def forward(self, dense: Tensor, pin: Tensor) -> Tensor:
        """Logits [N, 1]."""
        x = {f"d{i}": dense[:, i] for i in range(dense.shape[1])} | {"pin": pin}
        p: Tensor = self.net(x).clamp(1e-6, 1 - 1e-6)
        return torch.logit(p).unsqueeze(1)


def dcnv2(dense: list[Any], sparse: list[Any]) -> nn.Module:
    """Two cross layers beside an MLP (Wang et al. 2021)."""
    from torch_rechub.models.ranking import DCNv2

    return DCNv2(dense + sparse, n_cross_layers=2, mlp_params=MLP)


def deepfm(dense: list[Any], sparse: list[Any]) -> nn.Module:
    """A factorisation machine over the film, an MLP over everything (Guo et al. 2017)."""
    from torch_rechub.models.ranking import DeepFM

    return DeepFM(deep_features=dense + sparse, fm_features=sparse, mlp_params=MLP)


def rechub(make: Callable[[list[Any], list[Any]], nn.Module]) -> Peer:
    """The peer of one rechub model. Raises ImportError without torch-rechub."""

    def peer(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
        numeric = Numeric(flat_features(train).shape[1], 0)
        numeric.learn(flat_features(train)[:50_000])

        def inputs(batch: RequestBatch) -> tuple[Tensor, ...]:
            dense, pin = dense_and_pin(batch)
            return numeric(dense), pin

        def only(batch: RequestBatch, action: int) -> RequestBatch:
            assert batch.labels is not None
            copy = batch.take(np.arange(batch.n_requests))
            copy.labels = batch.labels[:, action : action + 1]
            return copy

        torch.manual_seed(0)
        parts = [tuple(only(b, a) for b in (train, validation, test)) for a in range(len(ACTIONS))]
        return np.column_stack(
            [train_net(_Wrapped(make, numeric.out), inputs, part)[:, 0] for part in parts]  # type: ignore[arg-type]
        )

    return peer
