"""What people would pick beside the full ranker: popularity, XGBoost per task, a shared-bottom MLP; and the loop that
trains the neural ones.

All see the same requests and features, stop early on the same validation requests and have the same budget of epochs.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apps.bench.full.movielens import ACTIONS
from training.ranker.batch import Floats, RequestBatch
from training.ranker.numeric import Numeric

EPOCHS = 8

Peer = Callable[[RequestBatch, RequestBatch, RequestBatch], Floats]  # train, validation, test -> probabilities [N, A]


def flat_features(batch: RequestBatch) -> Floats:
    """Everything without an id as one dense matrix: request columns, candidate columns, genres, category codes."""
    category = (batch.shared_category % 64).astype(np.float32) if batch.shared_category is not None else None
    request = [batch.shared] + ([category] if category is not None else [])
    return np.hstack([np.hstack(request)[batch.request], batch.candidates, batch.candidate_vector]).astype(np.float32)


def popularity(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
    """Log of the film's ratings so far, as a bare order (its log loss means nothing)."""
    p = 1 / (1 + np.exp(-(test.candidates[:, :1] - 5)))
    return np.repeat(p, len(ACTIONS), 1).astype(np.float32)


def xgboost_per_task(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
    """One booster per action with early stopping."""
    import xgboost

    data = [xgboost.QuantileDMatrix(flat_features(train), nthread=1)]
    held, tested = (xgboost.DMatrix(flat_features(b), nthread=1) for b in (validation, test))
    out = []
    for a in range(len(ACTIONS)):
        data[0].set_label(train.labels[:, a])  # type: ignore[index]
        held.set_label(validation.labels[:, a])  # type: ignore[index]
        settings = {
            "objective": "binary:logistic",
            "max_depth": 6,
            "eta": 0.1,
            "subsample": 0.8,
            "colsample_bytree": 0.8,
            "min_child_weight": 5,
            "nthread": 1,
            "seed": 0,
        }
        booster = xgboost.train(
            settings, data[0], 300, evals=[(held, "v")], early_stopping_rounds=15, verbose_eval=False
        )
        out.append(booster.predict(tested, iteration_range=(0, booster.best_iteration + 1)))
    return np.column_stack(out)


def train_net(
    net: nn.Module,
    inputs: Callable[[RequestBatch], tuple[Tensor, ...]],
    parts: tuple[RequestBatch, RequestBatch, RequestBatch],
) -> Floats:
    """The usual loop for a peer: Adam, early stopping on validation log loss, the same budget as ours."""
    train, validation, test = parts
    assert train.labels is not None
    assert validation.labels is not None
    x, y = inputs(train), torch.from_numpy(train.labels.copy())
    held, truth = inputs(validation), torch.from_numpy(validation.labels.copy())
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-3)
    best = float("inf")
    best_state = net.state_dict()
    waited = 0
    shuffle = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        net.train()
        for rows in torch.randperm(len(y), generator=shuffle).split(1600):
            optimiser.zero_grad()
            F.binary_cross_entropy_with_logits(net(*(t[rows] for t in x)), y[rows]).backward()
            optimiser.step()
        net.eval()
        with torch.no_grad():
            loss = float(F.binary_cross_entropy_with_logits(net(*held), truth))
        if loss < best:
            best = loss
            best_state = {k: v.clone() for k, v in net.state_dict().items()}
            waited = 0
        elif (waited := waited + 1) >= 2:
            break
    net.load_state_dict(best_state)
    net.eval()
    with torch.no_grad():
        out: Floats = torch.sigmoid(net(*inputs(test))).numpy()
    return out


class SharedBottom(nn.Module):
    """Standardised features and a film embedding → one trunk → a head per action."""

    def __init__(self, sample: Floats, buckets: int = 1 << 13) -> None:
        super().__init__()
        self.numeric = Numeric(sample.shape[1], 0)
        self.numeric.learn(sample)
        self.pins = nn.Embedding(buckets, 8)
        self.trunk = nn.Sequential(
            nn.Linear(self.numeric.out + 8, 128),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, len(ACTIONS)),
        )

    def forward(self, dense: Tensor, pin: Tensor) -> Tensor:
        """Logits [N, A]."""
        out: Tensor = self.trunk(torch.cat([self.numeric(dense), self.pins(pin)], 1))
        return out


def dense_and_pin(batch: RequestBatch) -> tuple[Tensor, ...]:
    """What the neural peers take: dense features float32[N, D] and the hashed film int64[N]."""
    return torch.from_numpy(flat_features(batch)), torch.from_numpy(batch.candidate_pin % (1 << 13))


def shared_bottom(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
    """A plain shared-bottom MLP."""
    torch.manual_seed(0)
    return train_net(SharedBottom(flat_features(train)[:50_000]), dense_and_pin, (train, validation, test))
