"""A tiny full ranker and requests for it, the same in every test that needs one."""

import torch

from apps.bench.full.toy_log import toy_schema, toy_table
from training.ranker.batch import RequestBatch
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
