"""The ranker's benches run at toy size without a GPU and give the figures that the docs name."""

import json
import math
from typing import Any

import numpy as np
import pytest

from apps.bench import gpu
from apps.bench.full.cost import flops_of
from apps.bench.full.movielens import replay
from apps.bench.full.peer_quality import GAIN, judge, ours
from apps.bench.full.peers import flat_features
from apps.bench.full.ranker import serving, training
from cluster.errors import ConfigError
from training.ranker.batch import RequestBatch
from training.ranker.config import ModelConfig

TINY = ModelConfig.debug().but(pin_buckets=64)


def test_gpu_script_runs_at_toy_size_and_gives_plain_json() -> None:
    figures = json.loads(json.dumps(gpu.run(quick=True)))
    assert figures["quick"]
    assert figures["train"]["flops_per_step"] > 0
    one = figures["serve"]["debug"]["1"]
    assert one["flops"] > 0
    assert math.isfinite(one["eager"]["candidates_per_second"])
    assert 0 < one["eager"]["mfu_resident"] < 1


def test_serving_and_training_figures_are_there() -> None:
    served = serving(TINY, 2, curves=False)
    assert served["flops_per_request"] > 0
    assert served["request_500"]["p50_ms"] >= served["request_500"]["min_ms"] > 0
    assert served["ratio_to_plain_torch"] == served["request_500"]["p50_ms"] / served["plain_torch_500"]["p50_ms"]
    assert served["explain_25"]["min_ms"] > 0
    trained = training(TINY, 32, 10, 1)
    assert trained["steps"] == 2
    assert trained["ratio"] > 0


def test_flops_of_a_product() -> None:
    import torch

    assert flops_of(lambda: torch.mm(torch.ones(3, 4), torch.ones(4, 5))) == 2 * 3 * 4 * 5


def test_perfect_scores_win_the_comparison(tmp_path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    n_users, n_items, n = 12, 120, 1000
    pairs = rng.permutation(n_users * n_items)[:n]
    times = np.sort(rng.integers(0, 10**6, n))
    ratings = {
        "user_id": pairs // n_items + 1,
        "item_id": pairs % n_items + 1,
        "rating": rng.integers(1, 6, n).astype(np.float32),
        "rated_at": pa.array(times).cast(pa.timestamp("s", "UTC")),
    }
    pq.write_table(pa.table(ratings), tmp_path / "ratings.parquet")
    items = {
        "item_id": np.arange(1, n_items + 1),
        "release_year": np.full(n_items, 1990.0),
        "genres": [["Drama"] if i % 2 else ["Comedy", "War"] for i in range(n_items)],
    }
    pq.write_table(pa.table(items), tmp_path / "items.parquet")
    users = {
        "user_id": np.arange(1, n_users + 1),
        "age": rng.integers(18, 60, n_users),
        "gender": ["M", "F"] * 6,
        "occupation": ["writer"] * n_users,
    }
    pq.write_table(pa.table(users), tmp_path / "users.parquet")
    data = replay(tmp_path, negatives=10)
    train = RequestBatch.from_table(data.train, data.schema)
    assert train.labels is not None
    assert flat_features(train).shape[0] == train.n_candidates
    assert np.isfinite(train.candidates).all()
    perfect = judge(np.clip(train.labels, 0.01, 0.99), train)
    assert perfect["ndcg@20"] > 0.99
    assert perfect["auc"] == 1.0
    assert judge(np.full_like(train.labels, 0.5), train)["auc_save"] == 0.5
    assert len(GAIN) == train.labels.shape[1]

    settings: dict[str, Any] = {"epochs": 1, "model": {"pin_buckets": 64}}
    parts = tuple(RequestBatch.from_table(t, data.schema) for t in (data.train, data.validation, data.test))
    trained = ours(data, **settings)(*parts)
    assert trained.shape == parts[2].labels.shape  # type: ignore[union-attr]
    assert ((trained > 0) & (trained < 1)).all()
    fewer = ours(data, every=2, **settings)(*parts)
    assert not np.allclose(trained, fewer, atol=1e-4)
    with pytest.raises(ConfigError, match=r"ranker\.model\.pins"):
        ours(data, model={"pins": 1})
