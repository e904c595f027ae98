"""From logs to a published full ranker: rows → fit (training.ranker) → judge beside the incumbent → gate → bundle."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import BundleError, ModelError
from cluster.features.assemble import FeatureSet
from cluster.kinds import FULL, GRAPH
from cluster.progress import Progress, silent
from cluster.settings.clients import Client
from cluster.settings.project import Project, RankerSettings
from cluster.store.bundles import BundleStore
from cluster.store.logs import LogStore
from training.full.rows import LOG_COLUMNS, Contents, MakeRows, ranker_schema
from training.judge.full import FullReport, evaluate_full
from training.judge.gate import Decision, Gate, decide, worse_clients
from training.judge.orders import Order, without_full
from training.log.attribution import split_time
from training.log.requests import Joined, join_logs, logged_clients
from training.log.tasks import LogWindow
from training.log.windows import windows_of
from training.ranker.batch import RankerSchema
from training.ranker.config import FitConfig, ModelConfig

MAX_HELD_OUT = 2000
"""Held-out requests of all clients together that the gate looks at."""


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
    unimpressed: int | None = None,
    num_workers: int | None = None,
    gate: Gate | None = None,
    progress: Progress = silent,
) -> FullOutcome:
    """Train one model for all clients that have logged requests. Ray must be running.

    `unimpressed` (default: `ranker.unimpressed`) survivors of each request that were not shown are added as examples
    without actions, weighted by the inverse of their rate. `num_workers` overrides the settings; 0 trains in this
    process. Raises DataError, ModelError, BundleError (no graph bundle to take content vectors from).
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
        sampled = project.ranker.unimpressed if unimpressed is None else unimpressed
        make = MakeRows(contents, features, project.features.sequence_length, sampled)
        orders = {name: without_full(store, client, features) for name, client in able.items()}
        parts = _write_rows(joined, list(able), held_out_share, make, orders, scratch)
        progress("rows", 1.0)
        if not parts["train"]:
            raise ModelError("no shown candidate before the held-out time: let the log grow first")
        progress("fit", 0.0)
        fit = _fit(project.ranker, schema, parts, scratch, num_workers)
        progress("fit", 1.0)
        held = _read(parts["held"], MAX_HELD_OUT)
        report, decision, incumbent = _judge(schema, features, able, store, scratch / "model", held, gate)
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
        decision.publish, decision.reason, version, incumbent, requests, fit, report.to_dict(), joined.notes
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
        rows = joined.requests(LOG_COLUMNS, window).map_batches(
            replace(make, orders=orders) if part == "held" else make, batch_format="pyarrow", batch_size=None
        )
        rows.write_parquet(str(scratch / part))
        files = sorted(str(p) for p in (scratch / part).glob("*.parquet"))
        out[part] = [f for f in files if pq.read_metadata(f).num_rows]
    return out


def _fit(
    settings: RankerSettings, schema: RankerSchema, parts: dict[str, list[str]], scratch: Path, num_workers: int | None
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


def _judge(
    schema: RankerSchema,
    features: FeatureSet,
    clients: Mapping[str, Client],
    store: BundleStore,
    model: Path,
    held: pa.Table | None,
    gate: Gate | None,
) -> tuple[FullReport, Decision, str | None]:
    from training.ranker.scorer import FullScorer

    models = {"full": FullScorer.open(model)}
    version = store.current(FULL)
    if version is not None:
        try:
            incumbent = FullScorer.open(store.open(FULL, version).require_schema(features).path)
            if incumbent.schema == schema:  # of other clients, actions or topics: serving loads it, rows do not fit it
                models["incumbent"] = incumbent
        except BundleError:
            version = None
    if held is None:
        empty = FullReport(0, {}, {}, {}, True, False)
        return empty, Decision(False, "refused: no held-out requests to judge on: let the log grow"), version
    report = evaluate_full(held, schema, clients, models)
    against = "incumbent" if "incumbent" in models else "without_full"
    label = f"incumbent {version}" if against == "incumbent" else "the order without it"
    decision = decide(report.differences[against]["all"], label, report.finite, report.constant, gate)
    worse = worse_clients(report.differences[against], gate or Gate())
    if decision.publish and worse and against == "incumbent":
        decision = Decision(False, f"refused: worse than {label} for {', '.join(worse)}")
    elif decision.publish and worse:
        text = f"{decision.reason}; worse for {', '.join(worse)}, which keep the lightweight order"
        decision = Decision(True, text, held_back=tuple(worse))
    return report, decision, version


def _read(paths: list[str], most: int) -> pa.Table | None:
    if not paths:
        return None
    table = pa.concat_tables([pq.read_table(p, partitioning=None) for p in paths])
    if table.num_rows > most:
        table = table.take(np.random.default_rng(0).permutation(table.num_rows)[:most])
    return table
