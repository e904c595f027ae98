"""What a network knows before its first step: how its inputs are spread, and the lightweight ranker's order."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from cluster.errors import ModelError
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.calibration import fit_calibration
from training.ranker.config import FitConfig
from training.ranker.inputs import to_targets
from training.ranker.model import FullRanker


def learn_inputs(model: FullRanker, batches: Sequence[RequestBatch]) -> None:
    """Set the model's input statistics (dense columns, positions shown) from a sample of training batches."""
    if not batches:
        raise ModelError("the full ranker got no training requests: check the date range and the client filter")
    model.shared_numeric.learn(np.concatenate([b.shared for b in batches]))
    model.candidate_numeric.learn(np.concatenate([b.candidates for b in batches]))
    positions = [b.position for b in batches if b.position is not None]
    if model.position is not None and len(positions) == len(batches):
        client = np.concatenate([b.client[b.request] for b in batches])
        model.position.learn(torch.from_numpy(client), torch.from_numpy(np.concatenate(positions)))


@torch.no_grad()
def start_from_score(model: FullRanker, schema: RankerSchema, sample: RequestBatch, config: FitConfig) -> None:
    """Zero the network's output, and fit a slope of the lightweight score and a base rate for each action and client.

    Slopes are positive, so the order of each action is the lightweight order. `config.flat_actions` get slope 0: they
    count against a candidate, and the order by utility would not be the lightweight one otherwise. Does nothing to a
    model that is no residual.
    """
    if model.residual is None:
        return
    score = np.array(sample.candidates[:, -1], np.float32)
    client = sample.client[sample.request]
    model.residual.learn(score, client)
    targets = to_targets(sample, balance=config.request_balance)
    z = model.residual.standardised(torch.from_numpy(score), torch.from_numpy(client)).numpy()
    flat = np.array([action in config.flat_actions for action in schema.actions], bool)
    logits = np.where(flat, np.float32(0.0), z)
    labels, weights = targets.labels.numpy(), targets.weights.numpy()
    start = fit_calibration(logits, labels, weights, client, len(schema.clients))
    model.residual.slope.weight.copy_(torch.from_numpy(np.where(flat, 0.0, start.slope)))
    model.client_bias.weight.copy_(torch.from_numpy(start.offset))
    nn.init.zeros_(model.tower_out.weight)
    nn.init.zeros_(model.tower_out.bias)
