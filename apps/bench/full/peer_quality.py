"""Quality of the full ranker beside its peers on MovieLens.

All see the same requests and features, and all figures come from one run. Peers: popularity, XGBoost per task, a
shared-bottom MLP, DCNv2 and DeepFM of torch-rechub (when installed), SASRec. FOLDER holds `ratings.parquet`,
`items.parquet` and `users.parquet` of MovieLens.

    python -m apps.bench.full.peer_quality FOLDER [--ablation] [--every N] [--only NAME …] [--json OUT]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from scipy.special import expit

from apps.bench.full.cost import torch_machine
from apps.bench.full.movielens import ACTIONS, RatingReplay, replay
from apps.bench.full.peer_rechub import dcnv2, deepfm, rechub
from apps.bench.full.peer_sasrec import sasrec
from apps.bench.full.peers import Peer, popularity, shared_bottom, xgboost_per_task
from cluster.settings.project import RankerSettings
from cluster.store.logs import ROW_GROUP_REQUESTS
from training.full.fit import fit_plan
from training.full.parts import Parts
from training.full.plan import plans_for
from training.metrics.probability import auc, log_loss
from training.metrics.ranking import mean_ndcg
from training.ranker.batch import Floats, RequestBatch
from training.ranker.scorer import FullScorer

GAIN = np.array([2.0, 1.0, 3.0, -1.0])  # what re-ranking is judged by: the utility of what the user did, never below 0
OURS: dict[str, Any] = {"size": "medium", "request_balance": 0.0}
"""`ranker:` of the pinfunnel.yaml that trains the full ranker of the table."""


def ours(data: RatingReplay, every: int = 1, **changes: Any) -> Peer:
    """The full ranker, trained as the product trains it with `OURS` and changes of it; uncalibrated, as the peers are.

    It reads the replay's tables, and only every so many training requests of them.
    """
    (plan,) = plans_for(RankerSettings(**{**OURS, **changes}), (), data.train.num_rows)

    def peer(train: RequestBatch, validation: RequestBatch, test: RequestBatch) -> Floats:
        with tempfile.TemporaryDirectory() as folder:
            paths = {name: str(Path(folder) / f"{name}.parquet") for name in ("train", "valid")}
            thinned = data.train.take(np.arange(0, data.train.num_rows, every))
            pq.write_table(thinned, paths["train"], row_group_size=ROW_GROUP_REQUESTS)
            pq.write_table(data.validation, paths["valid"])
            parts = Parts([paths["train"]], [paths["valid"]], [])
            fit_plan(plan, data.schema, parts, Path(folder) / "model")
            return expit(FullScorer.open(Path(folder) / "model").logits(test))

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


def peers_of(data: RatingReplay, every: int) -> dict[str, Peer]:
    """The full ranker and what it is compared with."""
    return {
        "popularity": popularity,
        "xgboost per task": xgboost_per_task,
        "shared-bottom MLP": shared_bottom,
        "SASRec": sasrec,
        "DCNv2 (torch-rechub)": rechub(dcnv2),
        "DeepFM (torch-rechub)": rechub(deepfm),
        "full ranker": ours(data, every),
        "full ranker without the listwise loss": ours(data, every, fit={"listwise": 0.0}),
    }


def compare(folder: Path, ablation: bool = False, every: int = 1, only: Sequence[str] = ()) -> dict[str, Any]:
    """Metrics on the test fifth per ranker (or per part switched off), with seconds of training and scoring.

    `every` > 1 trains on every so many requests only, for a quick look; `only` names the rankers to compare.
    """
    data = replay(folder)
    tables = (data.train, data.validation, data.test)
    train, validation, test = (RequestBatch.from_table(table, data.schema) for table in tables)
    train = train.take(np.arange(0, train.n_requests, every))
    peers = peers_of(data, every)
    if ablation:
        peers = {name: ours(data, every, model=change) for name, change in ABLATIONS.items()}
    peers = {name: peer for name, peer in peers.items() if not only or name in only}
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
    parser.add_argument("--only", nargs="+", default=(), help="these rankers alone, as the table names them")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    figures = compare(args.folder, args.ablation, args.every, args.only)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
