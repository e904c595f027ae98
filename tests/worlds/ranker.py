"""A tiny full ranker and requests for it, the same in every test that needs one."""

from dataclasses import replace

import numpy as np
import torch

from apps.bench.full.toy_log import toy_schema, toy_table
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.config import ModelConfig
from training.ranker.model import FullRanker
from training.ranker.start import learn_inputs

SCHEMA = toy_schema(shared=3, candidate=6, topics=4, length=5)
TINY = ModelConfig.debug().but(pin_buckets=256, dropout=0.0, id_dropout=0.0)


def toy_batch(requests: int = 6, candidates: int = 20, seed: int = 0) -> RequestBatch:
    """Random requests of SCHEMA."""
    return RequestBatch.from_table(toy_table(SCHEMA, requests, candidates, seed=seed), SCHEMA)


def toy_model(config: ModelConfig = TINY) -> FullRanker:
    """An untrained model that has seen its inputs, in evaluation mode."""
    torch.manual_seed(0)
    model = FullRanker(SCHEMA.widths, config)
    learn_inputs(model, [toy_batch(16)])
    with torch.no_grad():  # fresh client tables are zero: give them something to show
        for table in (model.client_scale, model.client_bias, model.experts.client_gate):
            if table is not None:
                table.weight.normal_()
    return model.eval()


def shaken(model: FullRanker, seed: int = 1, size: float = 0.2) -> FullRanker:
    """Weights as after training: nothing at its initial zero, outputs of the size of real logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def varied_batch(schema: RankerSchema, requests: int = 3, candidates: int = 40, seed: int = 0) -> RequestBatch:
    """Requests with full, partly filled, gappy and empty sequences, categories and missing values."""
    plain = replace(schema, categorical=())
    batch = RequestBatch.from_table(toy_table(plain, requests, candidates, seed), plain)
    rng = np.random.default_rng(seed)
    batch.sequence_pin = batch.sequence_pin.copy()
    if batch.sequence_pin.shape[1]:
        batch.sequence_pin[1, 5:] = 0
        batch.sequence_pin[1, 2] = 0
        batch.sequence_pin[-1] = 0
    batch.client = np.array([0, *batch.client[1:]])
    batch.shared = batch.shared.copy()
    batch.shared[0, 0] = np.nan
    batch.shared_category = rng.integers(0, 9, (requests, 2))
    batch.candidate_category = rng.integers(0, 9, (requests * candidates, 1))
    return batch
