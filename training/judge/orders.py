"""Orders of a logged request's candidates that need no full ranker: visits, the legacy boosts, a lightweight model."""

from collections.abc import Callable, Sequence

import numpy as np

from cluster import kinds
from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.features.boosts import boosted_visits
from cluster.settings.clients import BoostRule, Client
from cluster.store.bundles import BundleStore
from cluster.store.damage import opening
from training.log.arrays import Request

Order = Callable[[Sequence[Request]], list[np.ndarray]]
"""Requests → a score for every candidate of each, float32[n]; the best is the largest."""


def visit_count(requests: Sequence[Request]) -> list[np.ndarray]:
    """The walk's own order."""
    return [r.visit_score for r in requests]


LOCALE_BOOST = (BoostRule(feature="cross_locale_match", factor=2.0),)
"""The baseline of a client without `boosts` of its own: local pins count twice, the usual rule for localness."""


def boost(features: FeatureSet, rules: Sequence[BoostRule] = ()) -> Order:
    """Visit count with the legacy rules; `LOCALE_BOOST` without any."""
    rules = rules or LOCALE_BOOST
    return lambda requests: [boosted_visits(r.visit_score, r.candidates, features.candidate, rules) for r in requests]


def baselines(client: Client, features: FeatureSet) -> dict[str, Order]:
    """What every model of a client is shown beside, by name."""
    return {"visit_count": visit_count, "boost": boost(features, client.boosts)}


def booster_order(model: bytes, features: Sequence[str], chunk: int = 64, margin: bool = False) -> Order:
    """Predictions of a UBJ model, or its margins: predictions are probabilities for a logistic objective."""
    import xgboost as xgb

    booster = xgb.Booster(model_file=bytearray(model))

    def score(requests: Sequence[Request]) -> list[np.ndarray]:
        out: list[np.ndarray] = []
        for start in range(0, len(requests), chunk):
            part = requests[start : start + chunk]
            matrix = xgb.DMatrix(np.concatenate([r.matrix() for r in part]), feature_names=list(features))
            out += np.split(booster.predict(matrix, output_margin=margin), np.cumsum([r.n for r in part])[:-1])
        return out

    return score


def published_model(store: BundleStore, client: str, features: FeatureSet) -> tuple[str, bytes] | None:
    """Version and UBJ of a client's published model; None without one. Raises BundleError when it cannot be used."""
    version = store.current(kinds.lightweight(client))
    return None if version is None else (version, stored_model(store, client, version, features))


def stored_model(store: BundleStore, client: str, version: str, features: FeatureSet) -> bytes:
    """UBJ of one stored version, published or not. Raises BundleError when it cannot be used."""
    kind = kinds.lightweight(client)
    bundle = store.open(kind, version).require_schema(features)
    with opening(f"{kind} {version}", "train it again"):
        return (bundle.path / "model.ubj").read_bytes()


def published_order(store: BundleStore, client: str, features: FeatureSet) -> tuple[str, Order] | None:
    """Version and scorer of a client's published model; None without one. Raises BundleError when it cannot be used."""
    version = store.current(kinds.lightweight(client))
    return None if version is None else (version, stored_order(store, client, version, features))


def stored_order(store: BundleStore, client: str, version: str, features: FeatureSet) -> Order:
    """Scorer of one stored version, published or not. Raises BundleError when it cannot be used."""
    with opening(f"{kinds.lightweight(client)} {version}", "train it again"):
        return booster_order(stored_model(store, client, version, features), features.names)


def usable_order(store: BundleStore, client: str, features: FeatureSet) -> tuple[str, Order] | None:
    """`published_order`, or None where it is damaged or of other features: serving cannot use it either."""
    try:
        return published_order(store, client, features)
    except BundleError:
        return None


def without_model(client: Client, features: FeatureSet) -> tuple[str, Order]:
    """Name and scorer of the order that serving gives a client as long as it has no model of its own."""
    name = "boost" if client.boosts else "visit_count"
    return name, baselines(client, features)[name]


def without_full(store: BundleStore, client: Client, features: FeatureSet) -> Order:
    """The order that serving gives a client without a full ranker: its lightweight model's, when one can be used."""
    return (usable_order(store, client.name, features) or without_model(client, features))[1]
