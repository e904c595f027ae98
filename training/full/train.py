"""From logs to a published full ranker: rows → fit (training.ranker) → judge beside the incumbent → gate → bundle."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cluster.errors import BundleError, ModelError
from cluster.features.assemble import FeatureSet
from cluster.kinds import FULL, GRAPH
from cluster.progress import Progress, silent
from cluster.settings.clients import Client
from cluster.settings.project import Project, RankerSettings
from cluster.store.bundles import BundleStore
from cluster.store.logs import LogStore
from training.full.classes import ActionCounts
from training.full.gating import held_out_rows, judge
from training.full.rows import LOG_COLUMNS, Contents, MakeRows, ranker_schema
from training.judge.gate import Gate
from training.judge.orders import Order, without_full
from training.log.attribution import split_time
from training.log.requests import Joined, join_logs, logged_clients
from training.log.tasks import LogWindow
from training.log.windows import windows_of
from training.ranker.batch import RankerSchema
from training.ranker.config import FitConfig, ModelConfig


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
    content vectors from).
    """
    able = logged_clients(clients, logs, since, until)
    graph = _published_graph(store)
    features = FeatureSet.of(project.features)
    progress("join", 0.0)
    joined = join_logs(project, logs, list(able), since, until)
    progress("join", 1.0)
    contents = Contents(store.root, graph)
    contents.require_ids(project.ids)
    schema = ranker_schema(
        features, tuple(clients), project.actions, contents.width(), project.features.sequence_length
    )
    with _scratch(project) as scratch:
        progress("rows", 0.0)
        settings = project.ranker
        sampled = settings.unimpressed, settings.unimpressed_replayed
        make = MakeRows(contents, features, project.features.sequence_length, *sampled)
        orders = {name: without_full(store, client, features) for name, client in able.items()}
        parts = _write_rows(joined, list(able), held_out_share, make, orders, scratch)
        progress("rows", 1.0)
        if not parts["train"]:
            raise ModelError("no shown candidate before the held-out time: let the log grow first")
        counts = ActionCounts.of(parts["train"], schema.actions)
        counts.require_learnable()
        progress("fit", 0.0)
        fit = _fit(settings, schema, parts, counts.task_weights(), scratch, num_workers)
        progress("fit", 1.0)
        held = held_out_rows(parts["held"])
        report, decision, incumbent = judge(schema, features, able, store, scratch / "model", held, gate)
        requests = {name: sum(pq.read_metadata(p).num_rows for p in paths) for name, paths in parts.items()}
        meta = {
            "schema_hash": features.schema_hash,
            "ids": project.ids,
            "actions": list(schema.actions),
            "clients": list(schema.clients),
            "graph_version": graph,
            "requests": requests,
            "events": None if joined.counts is None else asdict(joined.counts),
            "metrics": report.to_dict(),
            "gate": asdict(decision),
            "held_back": list(decision.held_back),
        }
        with store.write(FULL, meta, publish=decision.publish) as (folder, version):
            shutil.copytree(scratch / "model", folder, dirs_exist_ok=True)
    progress("evaluate", 1.0)
    return FullOutcome(
        decision.publish,
        decision.reason,
        version,
        incumbent,
        requests,
        fit,
        report.to_dict(),
        (*joined.notes, *counts.notes()),
    )


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
    folder = Path(project.home) / "train" / f"full-{time.time_ns()}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_rows(
    joined: Joined,
    clients: list[str],
    held_out_share: float,
    make: MakeRows,
    orders: Mapping[str, Order],
    scratch: Path,
) -> dict[str, list[str]]:
    """Parquet rows of the fit, of the later requests that stop and calibrate it, and of the held-out ones."""
    before, held = windows_of(joined, clients, held_out_share)
    cuts = {}
    for name in clients:
        times = joined.index.times(name)
        cuts[name] = split_time(times[times < before[name].until], 0.15)
    windows: dict[str, dict[str, LogWindow]] = {
        "train": {n: LogWindow(until=cuts[n]) for n in clients},
        "valid": {n: LogWindow(since=cuts[n], until=before[n].until) for n in clients},
        "held": held,
    }
    out = {}
    for part, window in windows.items():
        judged = replace(make, orders=orders, unimpressed_replayed=None)
        rows = joined.requests(LOG_COLUMNS, window).map_batches(
            judged if part == "held" else make, batch_format="pyarrow", batch_size=None
        )
        rows.write_parquet(str(scratch / part))
        files = sorted(str(p) for p in (scratch / part).glob("*.parquet"))
        out[part] = [f for f in files if pq.read_metadata(f).num_rows]
    return out


def _fit(
    settings: RankerSettings,
    schema: RankerSchema,
    parts: dict[str, list[str]],
    task_weights: tuple[float, ...],
    scratch: Path,
    num_workers: int | None,
) -> dict[str, Any]:
    import ray

    from training.ranker.trainer import RunPlan, train_full  # torch loads only where a model is fitted

    model: ModelConfig = getattr(ModelConfig, settings.size)()
    gpus = float(ray.cluster_resources().get("GPU", 0))
    if settings.use_gpu == "yes" and gpus < 1:
        raise ModelError("ranker.use_gpu is yes and the cluster has no GPU: add one, or set it to auto")
    fit_config = FitConfig.debug() if settings.size in ("small", "debug") else FitConfig()
    fit_config = fit_config.but(
        epochs=settings.epochs,
        batch_requests=settings.batch_requests,
        learning_rate=settings.learning_rate,
        request_balance=settings.request_balance,
        task_weights=task_weights,
        seed=settings.seed,
    )
    return train_full(
        parts["train"],
        schema,
        model,
        fit_config,
        scratch / "model",
        validation=parts["valid"],
        plan=RunPlan(
            num_workers=settings.workers if num_workers is None else num_workers,
            use_gpu=settings.use_gpu != "no" and gpus >= 1,
            storage=scratch / "checkpoints",
        ),
    )
