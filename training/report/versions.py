"""Two stored versions of one kind of model, judged on the same logged requests. Needs Ray for the join."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.kinds import FULL, GRAPH, lightweight
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from cluster.store.logs import LogStore
from training.judge.full import FullReport
from training.judge.lightweight import LightweightReport
from training.judge.orders import Order, baselines, stored_order
from training.report.published import full_report, lightweight_reports

SHOWN = 3
"""Newest versions of each kind that an error names."""


def kind_of(store: BundleStore, clients: Mapping[str, Client], version: str) -> str:
    """The kind of ranker that a stored version is. Raises BundleError, with the versions that there are."""
    kinds = (FULL, *(lightweight(name) for name in clients))
    stored = {kind: store.versions(kind) for kind in kinds}
    for kind, versions in stored.items():
        if version in versions:
            return kind
    if version in store.versions(GRAPH):
        raise BundleError(f"{version} is a graph, not a ranker: name two versions of one ranker")
    listed = "; ".join(f"{kind}: {', '.join(versions[-SHOWN:])}" for kind, versions in stored.items() if versions)
    there = f"the newest are {listed}" if listed else "none is stored yet: train one"
    raise BundleError(f"no ranker of version {version} under {store.root}: {there}")


def common_kind(
    store: BundleStore, clients: Mapping[str, Client], features: FeatureSet, ids: str, versions: Sequence[str]
) -> str:
    """The kind that all versions are of; nothing is judged yet.

    Raises BundleError when one is not there, damaged, of another kind, or made for other features or ids.
    """
    kinds = {version: kind_of(store, clients, version) for version in versions}
    if len(kinds) < len(versions):
        raise BundleError(f"{versions[0]} is named twice: name two versions")
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{version} is {kind}" for version, kind in kinds.items())
        raise BundleError(f"only versions of one ranker can be compared: {said}")
    for version, kind in kinds.items():
        store.open(kind, version).require_schema(features).require_ids(ids)
    return next(iter(kinds.values()))


def compare_versions(
    project: Project,
    clients: Mapping[str, Client],
    store: BundleStore,
    logs: LogStore,
    before: str,
    after: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> LightweightReport | FullReport:
    """Both versions on the same requests; the differences are those of `after` to each other order.

    Raises BundleError as `common_kind`, and when two full rankers do not fit the same rows; DataError without logged
    requests in [since, until).
    """
    features = FeatureSet.of(project.features)
    kind = common_kind(store, clients, features, project.ids, (before, after))
    if kind == FULL:
        return full_report(project, clients, store, logs, {after: after, before: before}, since, until)

    def orders_of(client: Client) -> dict[str, Order]:
        models = {version: stored_order(store, client.name, version, features) for version in (after, before)}
        return models | baselines(client, features)

    name = kind.removeprefix(lightweight(""))
    return lightweight_reports(project, {name: clients[name]}, store, logs, orders_of, since, until)[name]
