"""Stored models judged on logged requests of any span: what `pinfunnel evaluate` shows. Needs Ray for the join."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime

import pyarrow as pa

from cluster.errors import BundleError
from cluster.extras import require_torch
from cluster.features.assemble import FeatureSet
from cluster.kinds import FULL, GRAPH
from cluster.settings.clients import Client
from cluster.settings.own_actions import with_weights_of
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from cluster.store.logs import LogStore
from training.full.margins import margins_of, serving_trees
from training.full.rows import LOG_COLUMNS, Contents, MakeRows
from training.judge.full import FullReport, evaluate_full
from training.judge.learnt_positions import effect_in_full_ranker
from training.judge.lightweight import LightweightReport, evaluate_lightweight
from training.judge.orders import Order, baselines, published_order, without_full
from training.lightweight.held_out import held_out_requests
from training.log.requests import LogWindow, join_logs, logged_clients
from training.ranker.batch import RankerSchema

OrdersOf = Callable[[Client], dict[str, Order]]
"""A client → the orders that its requests are judged in, by name; the first is compared with each other one."""

MOST_JUDGED = 20_000
"""Requests whose rows are held in memory at once: replayed ones bring all their candidates."""


def published_lightweight(
    project: Project,
    clients: Mapping[str, Client],
    store: BundleStore,
    logs: LogStore,
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, LightweightReport]:
    """A report per client with logged requests in the span; without a published model it has the baselines only."""
    features = FeatureSet.of(project.features)

    def orders_of(client: Client) -> dict[str, Order]:
        published = published_order(store, client.name, features)
        return {**({"lightweight": published[1]} if published else {}), **baselines(client, features)}

    return lightweight_reports(project, clients, store, logs, orders_of, since, until)


def lightweight_reports(
    project: Project,
    clients: Mapping[str, Client],
    store: BundleStore,
    logs: LogStore,
    orders_of: OrdersOf,
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, LightweightReport]:
    """Orders of each client with logged requests in the span, all over the same requests."""
    features = FeatureSet.of(project.features)
    able = logged_clients(clients, logs, since, until)
    joined = join_logs(project, logs, list(able), since, until)
    requests = held_out_requests(joined, {name: LogWindow() for name in able})
    reports = {}
    for name, client in able.items():
        effect = effect_in_full_ranker(store, name, project.actions, requests[name])
        reports[name] = evaluate_lightweight(
            requests[name], client, project.actions, features, orders_of(client), effect=effect
        )
    return reports


def published_full(
    project: Project,
    clients: Mapping[str, Client],
    store: BundleStore,
    logs: LogStore,
    since: datetime | None = None,
    until: datetime | None = None,
) -> FullReport:
    """The published full ranker, as `full_report` judges it. Raises BundleError when none is published."""
    return full_report(project, clients, store, logs, {"full": None}, since, until)


def full_report(
    project: Project,
    clients: Mapping[str, Client],
    store: BundleStore,
    logs: LogStore,
    versions: Mapping[str, str | None],
    since: datetime | None = None,
    until: datetime | None = None,
) -> FullReport:
    """Full rankers on the judged candidates of about `MOST_JUDGED` requests of the span, drawn by id.

    `versions` by name, the first is compared with each other one; None is the published version. Raises BundleError
    when one is not there or reads other inputs than the first, MissingPackageError without torch.
    """
    require_torch("judging a full ranker")
    from training.ranker.scorer import FullScorer  # torch loads only where a network is scored

    features = FeatureSet.of(project.features)
    scorers = {
        name: FullScorer.open(store.open(FULL, version).require_schema(features).require_ids(project.ids).path)
        for name, version in versions.items()
    }
    scorer = next(iter(scorers.values()))
    for name, other in scorers.items():
        if differing := _differing(scorer.schema, other.schema):
            raise BundleError(
                f"{FULL} {name} has other {', '.join(differing)} than {next(iter(scorers))}, so the same rows do not "
                "fit both: train both with the present pinfunnel.yaml"
            )
    actions = scorer.schema.actions  # those of its training: its columns and the labels must name the same
    logged = logged_clients(clients, logs, since, until)
    able = {name: with_weights_of(client, actions) for name, client in logged.items()}
    joined = join_logs(project.model_copy(update={"actions": actions}), logs, list(able), since, until)
    trees = serving_trees(store, able, features, project.gbdt)
    make = MakeRows(
        Contents(store.root, store.open(GRAPH, verify=False).version),
        features,
        project.features.sequence_length,
        unimpressed_replayed=None,
        scores={n: margins_of(t.model, features) for n, t in trees.items()} if scorer.schema.reads_score else None,
        orders={name: without_full(store, client, features) for name, client in able.items()},
    )
    share = min(1.0, MOST_JUDGED / joined.index.requests)
    rows = joined.requests(LOG_COLUMNS, {name: LogWindow(share=share) for name in able})
    batches = rows.map_batches(make, batch_format="pyarrow", batch_size=None).iter_batches(
        batch_size=None, batch_format="pyarrow"
    )
    table = pa.concat_tables([batch for batch in batches if batch.num_rows])
    return evaluate_full(table, scorer.schema, able, scorers)


def _differing(one: RankerSchema, other: RankerSchema) -> list[str]:
    """What two models read or predict differently."""
    return [f.name for f in fields(one) if f.compare and getattr(one, f.name) != getattr(other, f.name)]
