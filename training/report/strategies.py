"""Several strategies side by side: each trained on the same requests, all judged on the same later ones. Needs Ray.

Nothing is published; the models come back to the caller. What they are compared on, and with which baselines, is in
`training/judge/lightweight.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cluster.features.assemble import FeatureSet
from cluster.progress import Progress, silent
from cluster.settings.clients import Client, LabelSettings
from cluster.settings.project import Project
from cluster.store.logs import LogStore
from training.judge.lightweight import LightweightReport, evaluate_lightweight
from training.judge.orders import baselines, booster_order
from training.lightweight.choose import choose
from training.lightweight.examples import build_examples
from training.lightweight.fit import fit_clients
from training.lightweight.held_out import held_out_requests
from training.lightweight.jobs import Fitted
from training.lightweight.strategies.registry import check_strategies, known_strategies
from training.log.requests import join_logs, logged_clients
from training.log.windows import windows_of


@dataclass(frozen=True)
class Compared:
    """Reports by client, models by strategy and client, and why a pair of them has none."""

    reports: dict[str, LightweightReport]
    models: dict[str, dict[str, Fitted]] = field(repr=False)
    counts: dict[str, dict[str, dict[str, dict[str, int]]]] = field(repr=False)  # strategy, client, split, class: rows
    refused: dict[str, dict[str, str]] = field(default_factory=dict)  # strategy -> client -> reason


def labelled(client: Client, change: Mapping[str, object]) -> Client:
    """The client with other label settings, e.g. {"strategy": "engagement"}; a table of its own is dropped."""
    labels = LabelSettings.model_validate(client.labels.model_dump() | {"table": None} | dict(change))
    return client.model_copy(update={"labels": labels})


def compare_strategies(
    project: Project,
    clients: Mapping[str, Client],
    logs: LogStore,
    strategies: Mapping[str, Mapping[str, object]] | Sequence[str] | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    held_out_share: float = 0.2,
    progress: Progress = silent,
) -> Compared:
    """Train each strategy for each client with logged requests in [since, until), and judge all on the last share.

    `strategies`: names (default: all), or a name of your choice → changes of the client's label settings. A client
    that a strategy cannot learn from is named in `refused`, and its report goes without. Raises ConfigError for an
    unknown name, DataError when nothing is logged.
    """
    if strategies is None or not isinstance(strategies, Mapping):
        strategies = {name: {"strategy": name} for name in strategies or known_strategies()}
    changes = strategies
    for change in changes.values():
        check_strategies({c: labelled(client, change) for c, client in clients.items()})
    able = logged_clients(clients, logs, since, until)
    joined = join_logs(project, logs, list(able), since, until)
    train, later = windows_of(joined, list(able), held_out_share)
    storage = f"{project.home}/train"
    models: dict[str, dict[str, Fitted]] = {}
    counts: dict[str, dict[str, dict[str, dict[str, int]]]] = {}
    refused: dict[str, dict[str, str]] = {}
    for at, (name, change) in enumerate(changes.items()):
        progress(name, at / len(changes))
        labelling = {c: labelled(client, change) for c, client in able.items()}
        examples = build_examples(joined, labelling, train)
        counts[name] = {c: made.counts for c, made in examples.items()}
        refused[name] = {c: why for c, made in examples.items() if (why := made.unlearnable())}
        fit = {c: made for c, made in examples.items() if c not in refused[name]}
        choices = choose(joined, labelling, fit, project.gbdt, storage=storage)
        trees = {c: choice.settings for c, choice in choices.items()}
        models[name] = fit_clients(fit, project.gbdt, storage=storage, chosen=trees) if fit else {}
    progress("evaluate", 1.0)
    held = held_out_requests(joined, later)
    features = FeatureSet.of(project.features)
    reports = {}
    for c, client in able.items():
        orders = baselines(client, features)
        for name in changes:
            if c in models[name]:
                orders[name] = booster_order(models[name][c].model, features.names)
        reports[c] = evaluate_lightweight(held[c], client, project.actions, features, orders)
    return Compared(reports, models, counts, refused)
