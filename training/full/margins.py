"""What the lightweight rankers say of a logged request's candidates, as the full ranker reads it.

Of a request that the serving trees were fitted on, they say more than they could have said when it was served; so its
score comes from trees of the same settings that never saw it (training/lightweight/cross_fit.py).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.kinds import lightweight
from cluster.settings.clients import Client
from cluster.settings.project import GbdtSettings
from cluster.store.bundles import BundleStore
from training.judge.orders import booster_order, published_model
from training.lightweight.choose import settings_of
from training.lightweight.cross_fit import cross_fit
from training.log.arrays import Request
from training.log.requests import Joined
from training.log.tasks import LogWindow

Margins = Callable[[Request, np.datetime64], np.ndarray]
"""A request and when it was made → the lightweight margin of each candidate, float32[n]."""


@dataclass(frozen=True)
class ServingTrees:
    """A client's lightweight model as it serves: UBJ, and the settings that it was boosted with."""

    version: str
    model: bytes
    settings: GbdtSettings


def serving_trees(
    store: BundleStore, clients: Iterable[str], features: FeatureSet, project: GbdtSettings
) -> dict[str, ServingTrees]:
    """Those of each client that has some; trees that are damaged or of other features serve nobody."""
    out = {}
    for client in clients:
        try:
            found = published_model(store, client, features)
        except BundleError:
            continue
        if found is not None:
            out[client] = ServingTrees(*found, settings_of(store.open(lightweight(client), found[0]).meta, project))
    return out


def margins_of(model: bytes, features: FeatureSet) -> Margins:
    """The margins of one model, whatever the time."""
    order = booster_order(model, features.names, margin=True)
    return lambda request, at: order([request])[0]


def cross_fitted(
    joined: Joined,
    clients: Mapping[str, Client],
    windows: Mapping[str, LogWindow],
    trees: Mapping[str, ServingTrees],
) -> dict[str, Margins]:
    """Margins by client for requests of any time; those of a client's window by trees that never saw them.

    A client without serving trees, or with too few requests to fit without a part of them, has none. Ray must run.
    """
    fitted = cross_fit(
        joined,
        {name: clients[name] for name in trees},
        {name: windows[name] for name in trees},
        {name: one.settings for name, one in trees.items()},
        {name: one.model for name, one in trees.items()},
        storage=f"{joined.project.home}/train",
    )
    return {name: one.margins for name, one in fitted.items()}
