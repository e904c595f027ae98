"""From logs to a published full ranker: rows → fit (training.ranker) → judge beside the incumbent → gate → bundle."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from cluster.errors import BundleError, ModelError
from cluster.extras import require_torch
from cluster.features.assemble import FeatureSet
from cluster.kinds import FULL, GRAPH
from cluster.progress import Progress, silent
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from cluster.store.logs import LogStore
from training.full.choose import choose
from training.full.classes import ActionCounts
from training.full.fit import beside_cpus, fit_plan
from training.full.gating import held_out_rows, judge
from training.full.margins import cross_fitted, serving_trees
from training.full.parts import write_parts
from training.full.plan import plans_for
from training.full.rows import Contents, MakeRows, ranker_schema
from training.judge.gate import Gate
from training.judge.hold import unless_held
from training.judge.orders import without_full
from training.log.requests import join_logs, logged_clients
from training.log.windows import span_of, windows_of
from training.tracking.tell import tell_versions


@dataclass(frozen=True)
class FullOutcome:
    """What became of a training run. `version` is stored either way; serving loads it when `published`."""

    published: bool
    reason: str
    version: str
    incumbent: str | None
    requests: dict[str, int]
    fit: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)  # the network, the fit, and why this plan
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def train_full_ranker(
    project: Project,
    clients: Mapping[str, Client],
    store: BundleStore,
    logs: LogStore,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    held_out_share: float = 0.2,
    num_workers: int | None = None,
    gate: Gate | None = None,
    progress: Progress = silent,
) -> FullOutcome:
    """Train one model for all clients that have logged requests. Ray must be running.

    Examples without actions are what was shown and not acted on, and a sample of what was not shown, weighted by the
    inverse of its rate (`ranker.unimpressed`, `ranker.unimpressed_replayed`). An action that no example has, or all
    have, is left out of the loss and named in the notes. `num_workers` overrides the settings; 0 trains in this
    process. Raises DataError, ModelError (no examples, or all of one class), BundleError (no graph bundle to take
    content vectors from), MissingPackageError (no torch).
    """
    import ray

    require_torch("training the full ranker")
    reserve = beside_cpus(project.ranker, ray.cluster_resources())
    able = logged_clients(clients, logs, since, until)
    graph = _published_graph(store)
    features = FeatureSet.of(project.features)
    progress("join", 0.0)
    joined = join_logs(project, logs, list(able), since, until)
    progress("join", 1.0)
    contents = Contents(store.root, graph)
    contents.require_ids(project.ids)
    before, held = windows_of(joined, list(able), held_out_share)
    trees = serving_trees(store, able, features, project.gbdt)
    scores = cross_fitted(joined, able, before, trees) if trees else {}
    length = project.features.sequence_length
    schema = ranker_schema(features, tuple(clients), project.actions, contents.width(), length, scored=bool(scores))
    with _scratch(project) as scratch:
        progress("rows", 0.0)
        settings = project.ranker
        negatives = settings.unimpressed, settings.unimpressed_replayed
        make = MakeRows(
            contents,
            features,
            length,
            *negatives,
            scores=scores or None,
            source_dropout=settings.source_dropout,
        )
        orders = {name: without_full(store, client, features) for name, client in able.items()}
        parts = write_parts(joined, before, held, make, orders, scratch)
        progress("rows", 1.0)
        if not parts.train:
            raise ModelError("no shown candidate before the held-out time: let the log grow first")
        counts = ActionCounts.of(parts.train, schema.actions)
        counts.require_learnable()
        progress("fit", 0.0)
        plans = plans_for(settings, project.negative_actions, parts.requests()["train"], bool(scores))
        workers = settings.workers if num_workers is None else num_workers
        chosen = choose(
            [plan.of_tasks(counts.task_weights()) for plan in plans],
            schema,
            parts,
            able,
            scratch / "models",
            partial(fit_plan, workers=workers, reserve=reserve),
            partial(progress, "fit"),
        )
        progress("fit", 1.0)
        judged = held_out_rows(parts.held)
        report, decision, incumbent = judge(schema, features, able, store, chosen.model, judged, gate)
        requests = parts.requests()
        meta = {
            "schema_hash": features.schema_hash,
            "ids": project.ids,
            "actions": list(schema.actions),
            "clients": list(schema.clients),
            "graph_version": graph,
            "lightweight": {name: trees[name].version for name in scores},
            "requests": requests,
            "trained_on": {name: span_of(joined, name, before[name]) for name in able},
            "judged_on": {name: span_of(joined, name, held[name]) for name in able},
            "plan": chosen.to_dict(),
            "events": None if joined.counts is None else asdict(joined.counts),
            "metrics": report.to_dict(),
            "gate": asdict(decision),
            "held_back": list(decision.held_back),
        }
        decision = unless_held(decision, store, FULL)
        with store.write(FULL, meta, publish=decision.publish) as (folder, version):
            shutil.copytree(chosen.model, folder, dirs_exist_ok=True)
        tell_versions(project, store, [(FULL, version)])
    progress("evaluate", 1.0)
    return FullOutcome(
        decision.publish,
        decision.reason,
        version,
        incumbent,
        requests,
        chosen.fit,
        report.to_dict(),
        chosen.to_dict(),
        (*joined.notes, *counts.notes(), *_resumed(chosen.fit)),
    )


def _resumed(fit: Mapping[str, Any]) -> tuple[str, ...]:
    """A note where the run lost a worker. Epochs are counted from 1 there."""
    epochs = ", ".join(str(epoch + 1) for epoch in fit.get("resumed", ()))
    return (f"a worker was lost: training went on from its last checkpoint, in epoch {epochs}",) if epochs else ()


def _published_graph(store: BundleStore) -> str:
    graph = store.current(GRAPH)
    if graph is None:
        raise BundleError(
            "no graph is published, and the full ranker reads content vectors from it: build the graph first"
        )
    return graph


@contextmanager
def _scratch(project: Project) -> Iterator[Path]:
    """A folder for the rows, the checkpoints and the model of one run; gone afterwards."""
    folder = Path(project.local_home) / "train" / f"full-{time.time_ns()}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
