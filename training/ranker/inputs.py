"""From a `RequestBatch` of numpy arrays to the tensors the network takes. Copies nothing on CPU where types
already fit.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.ranker.batch import RequestBatch


class Inputs(NamedTuple):
    """Shapes as in RequestBatch; `slot[n]` is candidate n's index within its request, `width` the most candidates
    of one request (what attention pads to).
    """

    client: Tensor
    shared: Tensor
    shared_category: Tensor
    candidates: Tensor
    candidate_category: Tensor
    request: Tensor
    slot: Tensor
    width: int
    pin: Tensor
    vector: Tensor
    sequence_pin: Tensor
    sequence_action: Tensor
    sequence_client: Tensor
    sequence_age: Tensor
    sequence_vector: Tensor
    position: Tensor | None


class Targets(NamedTuple):
    """What the loss takes: labels float32[N, A], weight per label float32[N, A] (0 = not trained on), request
    int64[N].
    """

    labels: Tensor
    weights: Tensor
    request: Tensor


def _tensor(array: npt.NDArray, device: torch.device) -> Tensor:
    if not array.flags.writeable:  # Arrow memory: torch warns about aliasing it although nothing here writes
        array = array.copy()
    tensor = torch.from_numpy(array)
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def to_inputs(batch: RequestBatch, device: torch.device | str = "cpu") -> Inputs:
    """Tensors of a batch on `device`."""
    device = torch.device(device)
    n, b = batch.n_candidates, batch.n_requests
    counts = np.bincount(batch.request, minlength=b)
    slot = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    none_b, none_n = np.zeros((b, 0), np.int64), np.zeros((n, 0), np.int64)

    def t(array: npt.NDArray) -> Tensor:
        return _tensor(array, device)

    return Inputs(
        client=t(batch.client),
        shared=t(batch.shared),
        shared_category=t(none_b if batch.shared_category is None else batch.shared_category),
        candidates=t(batch.candidates),
        candidate_category=t(none_n if batch.candidate_category is None else batch.candidate_category),
        request=t(batch.request),
        slot=t(slot),
        width=int(counts.max(initial=0)),
        pin=t(batch.candidate_pin),
        vector=t(batch.candidate_vector),
        sequence_pin=t(batch.sequence_pin),
        sequence_action=t(batch.sequence_action),
        sequence_client=t(batch.sequence_client),
        sequence_age=t(batch.sequence_age),
        sequence_vector=t(batch.sequence_vector),
        position=None if batch.position is None else t(batch.position),
    )


def to_targets(batch: RequestBatch, device: torch.device | str = "cpu", balance: float = 0.0) -> Targets:
    """Labels and weights; a NaN label or a 0 in label_mask gives weight 0.

    A request's weights are divided by (number of its candidates with an action)^`balance`.
    """
    assert batch.labels is not None, "training needs labels"
    known = ~np.isnan(batch.labels)
    weights = known.astype(np.float32)
    if batch.weights is not None:
        weights *= batch.weights[:, None]
    if batch.label_mask is not None:
        weights *= batch.label_mask
    if balance:
        actions = np.bincount(batch.request, (batch.labels > 0).any(axis=1), minlength=batch.n_requests)
        weights *= (np.maximum(actions, 1) ** -balance).astype(np.float32)[batch.request, None]
    device = torch.device(device)
    labels = np.where(known, batch.labels, np.float32(0)).astype(np.float32)
    return Targets(_tensor(labels, device), _tensor(weights, device), _tensor(batch.request, device))
