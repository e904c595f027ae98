"""What the lightweight rankers that serve say of a logged request's candidates, as the full ranker reads it."""

from collections.abc import Callable, Iterable

import numpy as np

from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.store.bundles import BundleStore
from training.judge.orders import booster_order, published_model
from training.log.arrays import Request

Margins = Callable[[Request, np.datetime64], np.ndarray]
"""A request and when it was made → the lightweight margin of each candidate, float32[n]."""


def serving_models(store: BundleStore, clients: Iterable[str], features: FeatureSet) -> dict[str, tuple[str, bytes]]:
    """Version and UBJ of each client's lightweight model; one that is damaged or of other features serves nobody."""
    out = {}
    for client in clients:
        try:
            found = published_model(store, client, features)
        except BundleError:
            continue
        if found is not None:
            out[client] = found
    return out


def margins_of(model: bytes, features: FeatureSet) -> Margins:
    """The margins of one model, whatever the time."""
    order = booster_order(model, features.names, margin=True)
    return lambda request, at: order([request])[0]
