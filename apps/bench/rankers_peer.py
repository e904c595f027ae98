"""The full ranker beside what people would pick, on the same requests and features: quality only, all figures from
one run.

Peers: popularity, XGBoost per task, a shared-bottom MLP, DCNv2 of torch-rechub per task (when installed),
SASRec. `python -m apps.bench.rankers_peer FOLDER [--ablation] [--json OUT]`, FOLDER with ratings, items and
users as MovieLens has.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apps.bench.ranker_cost import machine
from apps.bench.ranker_movielens import ACTIONS, Replay, replay
from training.ranker.batch import Floats, RequestBatch
from training.ranker.calibration import Calibration
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.fit import Batches, fit, learn_inputs
from training.ranker.metrics import log_loss, ndcg, weighted_auc
from training.ranker.model import FullRanker
from training.ranker.numeric import Numeric

GAIN = np.array([2.0, 1.0, 3.0, -1.0])  # what re-ranking is judged by: the utility of what the user did, never below 0
OURS = ModelConfig.debug().but(id_dropout=0.3, dropout=0.2, user_width=32, candidate_width=64, expert_width=48)
FIT = FitConfig(epochs=8, batch_requests=32, learning_rate=3e-3, threads=1, listwise=0.0, weight_decay=1e-3)
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


def _train_net(
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
    best, best_state, waited = float("inf"), net.state_dict(), 0
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
            best, best_state, waited = loss, {k: v.clone() for k, v in net.state_dict().items()}, 0
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


def _dense_and_pin(batch: RequestBatch) -> tuple[Tensor, ...]:
    return torch.from_numpy(flat_features(batch)), torch.from_numpy(batch.candidate_pin % (1 << 13))


def shared_bottom(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
    """A plain shared-bottom MLP."""
    torch.manual_seed(0)
    return _train_net(SharedBottom(flat_features(train)[:50_000]), _dense_and_pin, (train, validation, test))


def rechub_dcnv2(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
    """torch-rechub's DCNv2, one model per action (it is single-task)."""
    from torch_rechub.basic.features import DenseFeature, SparseFeature
    from torch_rechub.models.ranking import DCNv2

    numeric = Numeric(flat_features(train).shape[1], 0)
    numeric.learn(flat_features(train)[:50_000])
    width = numeric.out

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            features = [DenseFeature(f"d{i}") for i in range(width)] + [SparseFeature("pin", 1 << 13, embed_dim=8)]
            self.net = DCNv2(
                features, n_cross_layers=2, mlp_params={"dims": [128, 64], "dropout": 0.2, "activation": "relu"}
            )

        def forward(self, dense: Tensor, pin: Tensor) -> Tensor:
            x = {f"d{i}": dense[:, i] for i in range(width)} | {"pin": pin}
            p: Tensor = self.net(x).clamp(1e-6, 1 - 1e-6)
            return torch.logit(p).unsqueeze(1)

    def one(batch: RequestBatch) -> tuple[Tensor, ...]:
        dense, pin = _dense_and_pin(batch)
        return numeric(dense), pin

    def only(batch: RequestBatch, a: int) -> RequestBatch:
        assert batch.labels is not None
        copy = batch.take(np.arange(batch.n_requests))
        copy.labels = batch.labels[:, a : a + 1]
        return copy

    torch.manual_seed(0)
    return np.column_stack(
        [
            _train_net(Wrapped(), one, (only(train, a), only(validation, a), only(test, a)))[:, 0]
            for a in range(len(ACTIONS))
        ]
    )


class SASRec(nn.Module):
    """Kang and McAuley 2018, compact: a causal transformer over the last films; a candidate's logit is its dot
    product with the last state. One logit, used for every action.
    """

    def __init__(self, length: int, buckets: int = 1 << 13, width: int = 32) -> None:
        super().__init__()
        self.pins = nn.Embedding(buckets + 1, width, padding_idx=0)
        nn.init.normal_(self.pins.weight, std=0.05)
        self.place = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, 0.2, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.bias = nn.Embedding(buckets + 1, 1)
        nn.init.zeros_(self.bias.weight)

    def forward(self, sequence: Tensor, pins: Tensor) -> Tensor:
        """Sequence [B, L] newest first, candidates [B, C] → logits [B, C]."""
        x = self.pins(sequence) + self.place.weight
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril(-1)  # newest first: see older places only
        state = self.layers(x, mask=causal, src_key_padding_mask=None)[:, 0]
        out: Tensor = (self.pins(pins) @ state.unsqueeze(-1)).squeeze(-1) + self.bias(pins).squeeze(-1)
        return out


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
    best, state, shuffle = float("inf"), net.state_dict(), torch.Generator().manual_seed(0)
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


def ours(data: Replay, config: ModelConfig, fit_config: FitConfig = FIT) -> Peer:
    """The full ranker with the given parts; uncalibrated, as the peers are."""

    def peer(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
        from training.ranker.fit import predict

        torch.manual_seed(0)
        model = FullRanker(data.schema.widths, config, sparse=True)
        size, n = fit_config.batch_requests, train.n_requests
        learn_inputs(model, [train.take(np.arange(0, n, 7))])

        def feed(epoch: int, used: int) -> Any:
            order = np.random.default_rng(epoch).permutation(n)
            return (train.take(order[i : i + size]) for i in range(used, n, size))

        feeding: Batches = feed
        steps = fit_config.epochs * -(-n // size)
        fit(model, feeding, [validation], fit_config, total_steps=steps)
        none = Calibration.identity(len(data.schema.clients), len(ACTIONS))
        return none.apply(predict(model, [test]).logits, test.client[test.request])

    return peer


def judge(p: Floats, test: RequestBatch) -> dict[str, float]:
    """AUC and log loss per action, NDCG@20 of the order by expected gain."""
    assert test.labels is not None
    weight, out = np.ones(len(p)), {}
    for a, action in enumerate(ACTIONS):
        out[f"auc_{action}"] = weighted_auc(p[:, a], test.labels[:, a], weight)
        out[f"logloss_{action}"] = log_loss(p[:, a], test.labels[:, a], weight)
    out["auc"] = float(np.mean([out[f"auc_{a}"] for a in ACTIONS]))
    out["logloss"] = float(np.mean([out[f"logloss_{a}"] for a in ACTIONS]))
    out["ndcg@20"] = ndcg(p @ GAIN, np.maximum(test.labels @ GAIN, 0), test.request, 20)
    return out


ABLATIONS: dict[str, dict[str, Any]] = {
    "all": {}, "no crossing": {"crossing": "none"}, "MaskNet for DCNv2": {"crossing": "mask"},
    "shared bottom for MMoE": {"experts": "shared"}, "PLE for MMoE": {"experts": "ple", "task_experts": 1},
    "no sequence": {"sequence_layers": -1}, "no transformer": {"sequence_layers": 0}, "no pin ids": {"pin_buckets": 0},
    "no quantile bins": {"bins": 0}, "no client gates": {"client_gates": False},
}  # fmt: skip


def run(folder: Path, ablation: bool = False, every: int = 1) -> dict[str, Any]:
    """Metrics on the test fifth per ranker (or per part switched off), with seconds of training and scoring.

    `every` > 1 trains on every so many requests only, for a quick look."""
    data = replay(folder)
    train, validation, test = (
        RequestBatch.from_table(t, data.schema) for t in (data.train, data.validation, data.test)
    )
    train = train.take(np.arange(0, train.n_requests, every))
    peers: dict[str, Peer] = {
        "popularity": popularity, "xgboost per task": xgboost_per_task, "shared-bottom MLP": shared_bottom,
        "SASRec": sasrec, "DCNv2 (torch-rechub)": rechub_dcnv2, "full ranker": ours(data, OURS),
        "full ranker, listwise 0.3": ours(data, OURS, FIT.but(listwise=0.3)),
    }  # fmt: skip
    if ablation:
        peers = {name: ours(data, OURS.but(**change)) for name, change in ABLATIONS.items()}
    torch.set_num_threads(1)
    out: dict[str, Any] = {
        "machine": machine(),
        "every": every,
        "requests": [b.n_requests for b in (train, validation, test)],
        "rankers": {},
    }
    for name, peer in peers.items():
        start = time.process_time()
        try:
            p = peer(train, validation, test)
        except ImportError as error:
            out["rankers"][name] = {"unavailable": str(error)}
            continue
        out["rankers"][name] = judge(p, test) | {"cpu_seconds": time.process_time() - start}
        print(
            name,
            {
                k: round(v, 4)
                for k, v in out["rankers"][name].items()
                if k in ("auc", "logloss", "ndcg@20", "cpu_seconds")
            },
            flush=True,
        )
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    figures = run(args.folder, args.ablation, args.every)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
