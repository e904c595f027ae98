"""Published models judged on logged requests of any span: what `pinfunnel evaluate` shows. Needs Ray for the join."""

from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa

from cluster.features.assemble import FeatureSet
from cluster.kinds import FULL, GRAPH
from cluster.settings.clients import Client
from cluster.settings.own_actions import with_weights_of
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from cluster.store.logs import LogStore
from training.full.rows import LOG_COLUMNS, Contents, MakeRows
from training.judge.full import FullReport, evaluate_full
from training.judge.learnt_positions import effect_in_full_ranker
from training.judge.lightweight import LightweightReport, evaluate_lightweight
from training.judge.orders import baselines, published_order, without_full
from training.lightweight.train import held_out_requests
from training.log.requests import LogWindow, join_logs, logged_clients

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
    able = logged_clients(clients, logs, since, until)
    joined = join_logs(project, logs, list(able), since, until)
    requests = held_out_requests(joined, {name: LogWindow() for name in able})
    reports = {}
    for name, client in able.items():
        orders = baselines(client, features)
        if published := published_order(store, name, features):
            orders = {"lightweight": published[1], **orders}
        effect = effect_in_full_ranker(store, name, project.actions, requests[name])
        reports[name] = evaluate_lightweight(requests[name], client, project.actions, features, orders, effect=effect)
    return reports


def published_full(
    project: Project,
    clients: Mapping[str, Client],
    store: BundleStore,
    logs: LogStore,
    since: datetime | None = None,
    until: datetime | None = None,
) -> FullReport:
    """The published full ranker on the judged candidates of about `MOST_JUDGED` requests of the span, drawn by id.

    Raises BundleError when none is published.
    """
    from training.ranker.scorer import FullScorer  # torch loads only where a network is scored

    features = FeatureSet.of(project.features)
    scorer = FullScorer.open(store.open(FULL).require_schema(features).require_ids(project.ids).path)
    actions = scorer.schema.actions  # those of its training: its columns and the labels must name the same
    logged = logged_clients(clients, logs, since, until)
    able = {name: with_weights_of(client, actions) for name, client in logged.items()}
    joined = join_logs(project.model_copy(update={"actions": actions}), logs, list(able), since, until)
    make = MakeRows(
        Contents(store.root, store.open(GRAPH, verify=False).version),
        features,
        project.features.sequence_length,
        unimpressed_replayed=None,
        orders={name: without_full(store, client, features) for name, client in able.items()},
    )
    share = min(1.0, MOST_JUDGED / len(joined.index.requested_at))
    rows = joined.requests(LOG_COLUMNS, {name: LogWindow(share=share) for name in able})
    batches = rows.map_batches(make, batch_format="pyarrow", batch_size=None).iter_batches(
        batch_size=None, batch_format="pyarrow"
    )
    table = pa.concat_tables([batch for batch in batches if batch.num_rows])
    return evaluate_full(table, scorer.schema, able, {"full": scorer})
