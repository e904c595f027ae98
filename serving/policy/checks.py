"""What a client's file says that only the project can check: labels, policy steps, and boosts by their names."""

from collections.abc import Mapping

import numpy as np

from cluster.features.assemble import FeatureSet
from cluster.features.boosts import boosted_visits
from cluster.settings.clients import Client
from cluster.settings.project import FeatureSettings
from serving.policy.labels import check_labels
from serving.policy.pipeline import Policy


def check_clients(clients: Mapping[str, Client], features: FeatureSettings) -> None:
    """Raises ConfigError that names client, key and what there is. Reads no data and no bundle."""
    check_labels(clients, features.pin_categorical)
    names = FeatureSet.of(features).candidate
    nothing = np.zeros((0, len(names)), np.float32)
    for client in clients.values():
        Policy.of(client)
        boosted_visits(nothing[:, 0], nothing, names, client.boosts)
