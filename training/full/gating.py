"""The gate of a full ranker: judged on held-out rows beside the incumbent or the order that it would replace."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.kinds import FULL
from cluster.settings.clients import Client
from cluster.store.bundles import BundleStore
from cluster.store.logs import ROW_GROUP_REQUESTS
from training.judge.full import FullReport, evaluate_full
from training.judge.gate import Decision, Gate, decide, worse_clients
from training.ranker.batch import RankerSchema

MAX_HELD_OUT = 2000
"""Held-out requests of all clients together that the gate looks at."""


def judge(
    schema: RankerSchema,
    features: FeatureSet,
    clients: Mapping[str, Client],
    store: BundleStore,
    model: Path,
    held: pa.Table | None,
    gate: Gate | None,
) -> tuple[FullReport, Decision, str | None]:
    """Report, decision, and the incumbent's version, of the model in a folder; `held` are rows with `order_score`.

    A first full ranker is held back from clients that it is certainly worse for; a later one is then refused. Judged on
    replayed history, which flatters no order, it must be likely better, as it adds a stage.
    """
    from training.ranker.scorer import FullScorer  # torch loads only where a network is scored

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
        empty = FullReport(0, 0, {}, {}, {}, True, False)
        return empty, Decision(False, "refused: no held-out requests to judge on: let the log grow"), version
    report = evaluate_full(held, schema, clients, models)
    against = "incumbent" if "incumbent" in models else "without_full"
    label = f"incumbent {version}" if against == "incumbent" else "the order without it"
    decision = decide(
        report.differences[against]["all"],
        label,
        report.finite,
        report.constant,
        gate,
        report.alike,
        further=against == "without_full" and version is None and mostly_replayed(held),
    )
    worse = worse_clients(report.differences[against], gate or Gate())
    if decision.publish and worse and against == "incumbent":
        decision = Decision(False, f"refused: worse than {label} for {', '.join(worse)}")
    elif decision.publish and worse:
        text = f"{decision.reason}; worse for {', '.join(worse)}, which keep the lightweight order"
        decision = Decision(True, text, held_back=tuple(worse))
    return report, decision, version


def mostly_replayed(held: pa.Table) -> bool:
    """Whether most of the requests showed no answer: history that a backfill replayed, in no order of ours.

    A log of answers is made in the order that is to be replaced, and flatters it beyond what positions explain; there
    an equal figure is no sign that a ranker is no better (docs/experiments/ranker.md).
    """
    shown = [any(position >= 0 for position in row) for row in held.column("position").to_pylist()]
    return sum(shown) < len(shown) / 2


def held_out_rows(paths: list[str], most: int = MAX_HELD_OUT) -> pa.Table | None:
    """At most `most` of the rows, drawn at random; None without any. The others pass by some hundred at a time."""
    total = sum(pq.read_metadata(path).num_rows for path in paths)
    drawn = np.arange(total) if total <= most else np.sort(np.random.default_rng(0).choice(total, most, replace=False))
    parts = []
    row = 0
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(ROW_GROUP_REQUESTS):
            low, high = np.searchsorted(drawn, [row, row + batch.num_rows])
            parts.append(pa.Table.from_batches([batch]).take(pa.array(drawn[low:high] - row)))
            row += batch.num_rows
    return pa.concat_tables(parts) if parts else None
