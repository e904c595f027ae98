"""Quality of the full ranker beside its peers on MovieLens.

All see the same requests and features, and all figures come from one run. Peers: popularity, XGBoost per task, a
shared-bottom MLP, DCNv2 and DeepFM of torch-rechub (when installed), SASRec. FOLDER holds `ratings.parquet`,
`items.parquet` and `users.parquet` of MovieLens.

    python -m apps.bench.full.peer_quality FOLDER [--ablation] [--every N] [--json OUT]
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.bench.full.cost import torch_machine
from apps.bench.full.movielens import ACTIONS, RatingReplay, replay
from apps.bench.full.peer_rechub import dcnv2, deepfm, rechub
from apps.bench.full.peer_sasrec import sasrec
from apps.bench.full.peers import Peer, popularity, shared_bottom, xgboost_per_task
from training.metrics.probability import auc, log_loss
from training.metrics.ranking import mean_ndcg
from training.ranker.batch import Floats, RequestBatch
from training.ranker.calibration import Calibration
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.evaluate import predict
from training.ranker.fit import Batches, fit, learn_inputs
from training.ranker.model import FullRanker

GAIN = np.array([2.0, 1.0, 3.0, -1.0])  # what re-ranking is judged by: the utility of what the user did, never below 0
OURS = ModelConfig.debug().but(id_dropout=0.3, dropout=0.2, user_width=32, candidate_width=64, expert_width=48)
FIT = FitConfig(epochs=8, batch_requests=32, learning_rate=3e-3, threads=1, listwise=0.3, weight_decay=1e-3)


def ours(data: RatingReplay, config: ModelConfig, fit_config: FitConfig = FIT) -> Peer:
    """The full ranker with the given parts; uncalibrated, as the peers are."""

    def peer(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
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
    weight = np.ones(len(p))
    out = {}
    for a, action in enumerate(ACTIONS):
        out[f"auc_{action}"] = auc(p[:, a], test.labels[:, a], weight)
        out[f"logloss_{action}"] = log_loss(p[:, a], test.labels[:, a], weight)
    out["auc"] = float(np.mean([out[f"auc_{a}"] for a in ACTIONS]))
    out["logloss"] = float(np.mean([out[f"logloss_{a}"] for a in ACTIONS]))
    out["ndcg@20"] = mean_ndcg(p @ GAIN, np.maximum(test.labels @ GAIN, 0), test.request, 20)
    return out


ABLATIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "no crossing": {"crossing": "none"},
    "MaskNet for DCNv2": {"crossing": "mask"},
    "shared bottom for MMoE": {"experts": "shared"},
    "PLE for MMoE": {"experts": "ple", "task_experts": 1},
    "no sequence": {"sequence_layers": -1},
    "no transformer": {"sequence_layers": 0},
    "no pin ids": {"pin_buckets": 0},
    "no quantile bins": {"bins": 0},
    "no client gates": {"client_gates": False},
}


def peers_of(data: RatingReplay) -> dict[str, Peer]:
    """The full ranker and what it is compared with."""
    return {
        "popularity": popularity,
        "xgboost per task": xgboost_per_task,
        "shared-bottom MLP": shared_bottom,
        "SASRec": sasrec,
        "DCNv2 (torch-rechub)": rechub(dcnv2),
        "DeepFM (torch-rechub)": rechub(deepfm),
        "full ranker": ours(data, OURS),
        "full ranker without the listwise loss": ours(data, OURS, FIT.but(listwise=0.0)),
    }


def compare(folder: Path, ablation: bool = False, every: int = 1) -> dict[str, Any]:
    """Metrics on the test fifth per ranker (or per part switched off), with seconds of training and scoring.

    `every` > 1 trains on every so many requests only, for a quick look.
    """
    data = replay(folder)
    tables = (data.train, data.validation, data.test)
    train, validation, test = (RequestBatch.from_table(table, data.schema) for table in tables)
    train = train.take(np.arange(0, train.n_requests, every))
    peers = peers_of(data)
    if ablation:
        peers = {name: ours(data, OURS.but(**change)) for name, change in ABLATIONS.items()}
    torch.set_num_threads(1)
    rankers: dict[str, dict[str, Any]] = {}
    for name, peer in peers.items():
        start = time.process_time()
        try:
            p = peer(train, validation, test)
        except ImportError as error:
            rankers[name] = {"unavailable": str(error)}
            continue
        rankers[name] = judge(p, test) | {"cpu_seconds": time.process_time() - start}
        print(
            name,
            {key: round(rankers[name][key], 4) for key in ("auc", "logloss", "ndcg@20", "cpu_seconds")},
            flush=True,
        )
    return {
        "machine": torch_machine(),
        "every": every,
        "requests": [batch.n_requests for batch in (train, validation, test)],
        "rankers": rankers,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m apps.bench.full.peer_quality", description=__doc__)
    parser.add_argument("folder", type=Path, help="where MovieLens lies")
    parser.add_argument("--ablation", action="store_true", help="our parts, one switched off at a time, not the peers")
    parser.add_argument("--every", type=int, default=1, help="train on every so many requests only, for a quick look")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    figures = compare(args.folder, args.ablation, args.every)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
