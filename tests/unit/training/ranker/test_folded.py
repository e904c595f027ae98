"""The folded forward pass gives what the network gives, for every part that can be switched off."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from apps.bench.full.toy_log import toy_schema, toy_table
from tests.worlds.ranker import shaken, varied_batch
from training.ranker.batch import RequestBatch
from training.ranker.config import ModelConfig
from training.ranker.folded import TILE, Folded
from training.ranker.folded_numeric import FoldedNumeric
from training.ranker.inputs import to_inputs
from training.ranker.model import FullRanker
from training.ranker.numeric import Numeric
from training.ranker.scorer import FullScorer
from training.ranker.start import learn_inputs

DEBUG = ModelConfig.debug().but(pin_buckets=64)


CHANGES: list[dict[str, Any]] = [
    {},
    {"crossing": "mask"},
    {"crossing": "none"},
    {"experts": "shared"},
    {"experts": "ple", "task_experts": 2},
    {"sequence_layers": -1},
    {"sequence_layers": 0},
    {"pin_buckets": 0},
    {"bins": 0},
    {"client_gates": False},
    {"position": False},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("length", [12, 0])
def test_every_part_folds_to_the_same_logits(change: dict[str, Any], length: int) -> None:
    torch.manual_seed(0)
    schema = replace(
        toy_schema(shared=5, candidate=7, topics=6, length=length),
        categorical=(("a", "shared"), ("b", "shared"), ("c", "candidate")),
    )
    batch = varied_batch(schema)
    model = FullRanker(schema.widths, DEBUG.but(**change))
    learn_inputs(model, [batch])
    shaken(model)
    with torch.inference_mode():
        expected = model(to_inputs(batch)._replace(position=None)).numpy()
    np.testing.assert_allclose(Folded(model).logits(batch), expected, rtol=2e-4, atol=2e-4)
    assert np.ptp(expected) > 0.1


def test_tiles_threads_and_neighbours_change_nothing() -> None:
    schema = toy_schema(shared=4, candidate=6, topics=5, length=8)
    batch = RequestBatch.from_table(toy_table(schema, 2, TILE + 30), schema)
    model = FullRanker(schema.widths, DEBUG)
    learn_inputs(model, [batch])
    folded = Folded(shaken(model))
    together = folded.logits(batch)
    alone = np.concatenate([folded.logits(batch.take(np.array([i]))) for i in range(2)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(folded.logits, [batch] * 8):
            np.testing.assert_array_equal(result, together)


def test_numeric_columns_fold_at_corners_tails_and_beyond() -> None:
    rng = np.random.default_rng(0)
    sample = np.column_stack(
        [
            rng.normal(size=4000),
            np.exp(4 * rng.normal(size=4000)),
            np.full(4000, 3.0),
            rng.integers(0, 3, 4000),
            np.where(rng.random(4000) < 0.99, 1.0, 1.0 + 1e-5 * rng.random(4000)),
            np.full(4000, np.nan),
        ]
    ).astype(np.float32)
    for bins in (0, 4, 16):
        numeric = Numeric(6, bins)
        numeric.learn(sample)
        weight = rng.normal(size=(10, numeric.out)).astype(np.float32)
        probe = np.vstack(
            [
                sample[:300],
                rng.normal(size=(50, 6)) * 100,
                np.full((1, 6), np.nan),
                np.full((1, 6), np.inf),
                np.full((1, 6), -np.inf),
                np.zeros((1, 6)),
            ]
        ).astype(np.float32)
        expected = numeric(torch.from_numpy(probe)).numpy().astype(np.float64) @ weight.T
        got = np.zeros((len(probe), 10), np.float32)
        FoldedNumeric(numeric, weight).add_to(got, probe)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-4)


def test_the_scorer_serves_the_folded_pass_on_a_cpu() -> None:
    schema = toy_schema(shared=4, candidate=6, topics=5, length=8)
    batch = RequestBatch.from_table(toy_table(schema, 2, 20), schema)
    scorer = FullScorer(schema, DEBUG, shaken(FullRanker(schema.widths, DEBUG)))
    with torch.inference_mode():
        expected = torch.sigmoid(scorer.model(to_inputs(batch)._replace(position=None))).numpy()
    np.testing.assert_allclose(scorer.score(batch), expected, rtol=1e-4, atol=1e-4)
