"""From logs to published lightweight rankers: examples → choose → fit → compare with the incumbent → gate → bundle.

The bundle `lightweight/<client>` holds model.ubj, features.json and reference.json (what features were like, to see how
they move); its manifest the strategy, row counts and metrics.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from cluster import kinds
from cluster.errors import PinfunnelError
from cluster.features.assemble import FeatureSet
from cluster.features.drift import REFERENCE, FeatureHistograms, rows_to_count
from cluster.progress import Progress, silent
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from cluster.store.logs import LogStore
from training.judge.gate import Decision, Gate, decide
from training.judge.hold import unless_held
from training.judge.learnt_positions import effect_in_full_ranker
from training.judge.lightweight import NDCG_AT, LightweightReport, evaluate_lightweight
from training.judge.orders import Order, baselines, usable_order, without_model
from training.lightweight.choose import Choice, choose
from training.lightweight.examples import ClientExamples, build_examples
from training.lightweight.fit import fit_clients
from training.lightweight.held_out import held_out_requests
from training.lightweight.jobs import RANK, Fitted, objective_of, require_monotone
from training.lightweight.judged_requests import (
    ENOUGH,
    JudgedRequests,
    cross_judged,
    held_out_scored,
    too_few,
)
from training.lightweight.xgboost_ray import require_backend
from training.log.arrays import Request
from training.log.requests import Joined, LogWindow, join_logs, logged_clients
from training.log.windows import span_of, windows_of
from training.tracking.tell import tell_versions


@dataclass(frozen=True)
class Outcome:
    """What became of one client's training. `version` is stored either way; serving loads it when `published`."""

    client: str
    published: bool
    reason: str
    version: str | None = None
    incumbent: str | None = None
    strategy: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    trees: dict[str, Any] = field(default_factory=dict)  # how they were boosted, why, and the figures that chose it

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def train_lightweight(project: Project, client: Client, store: BundleStore, logs: LogStore, **options: Any) -> Outcome:
    """Train one client; options as in `train_all_lightweight`. Raises what kept it from training."""
    return train_all_lightweight(project, {client.name: client}, store, logs, strict=True, **options)[client.name]


def train_all_lightweight(
    project: Project,
    clients: Mapping[str, Client],
    store: BundleStore,
    logs: LogStore,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    held_out_share: float = 0.2,
    enough: int = ENOUGH,
    gate: Gate | None = None,
    progress: Progress = silent,
    strict: bool = False,
) -> dict[str, Outcome]:
    """Train, judge and publish every client's lightweight ranker from requests in [since, until). Ray must run.

    Each client's last `held_out_share` of requests is judged on and never trained on; a first model that fewer than
    `enough` of them can judge is judged by cross-validation too. A client that cannot be trained
    gives an unpublished Outcome with the reason; with `strict` its error is raised. Raises ConfigError, DataError,
    ModelError.
    """
    require_backend(project.gbdt.backend)
    require_monotone(project.gbdt, FeatureSet.of(project.features).names)
    outcomes: dict[str, Outcome] = {}
    able = dict(clients)
    if not strict:
        able = logged_clients(clients, logs, since, until)
        for name in sorted(set(clients) - set(able)):
            outcomes[name] = Outcome(name, False, "not trained: no logged requests")
    progress("join", 0.0)
    joined = join_logs(project, logs, list(able), since, until)
    progress("join", 1.0)
    train_windows, held_windows = windows_of(joined, list(able), held_out_share)
    progress("examples", 0.0)
    examples = build_examples(joined, able, train_windows)
    progress("examples", 1.0)
    for name in list(examples):
        try:
            examples[name].require_learnable()
        except PinfunnelError as error:
            if strict:
                raise
            outcomes[name] = Outcome(name, False, f"not trained: {error}", counts=examples.pop(name).counts)
    storage = f"{project.home}/train"
    choices = choose(
        joined,
        able,
        examples,
        project.gbdt,
        progress,
        storage,
        positions=lambda name, requests: effect_in_full_ranker(store, name, project.actions, requests),
    )
    trees = {name: choice.settings for name, choice in choices.items()}
    fitted = fit_clients(examples, project.gbdt, progress, storage, chosen=trees) if examples else {}
    progress("evaluate", 0.0)
    held = held_out_requests(joined, {n: held_windows[n] for n in fitted}) if fitted else {}
    features = FeatureSet.of(project.features)
    few = [name for name, requests in held.items() if too_few(requests, able[name], project.actions, enough)]
    first = {name: examples[name] for name in few if usable_order(store, name, features) is None}
    more = cross_judged(joined, first, trees, storage)
    for at, (name, model) in enumerate(fitted.items()):
        judged = more.get(name, JudgedRequests()).joined(
            held_out_scored(model.model, examples[name].features, held[name])
        )
        windows = train_windows[name], held_windows[name]
        outcomes[name] = _judge(joined, able[name], store, examples[name], choices[name], model, judged, windows, gate)
        progress("evaluate", (at + 1) / len(fitted))
    trained = [(kinds.lightweight(name), one.version) for name, one in outcomes.items() if one.version is not None]
    tell_versions(project, store, trained)
    return {name: outcomes[name] for name in clients}


def _judge(
    joined: Joined,
    client: Client,
    store: BundleStore,
    examples: ClientExamples,
    choice: Choice,
    model: Fitted,
    judged: JudgedRequests,
    windows: tuple[LogWindow, LogWindow],
    gate: Gate | None,
) -> Outcome:
    project = joined.project
    features = FeatureSet.of(project.features)
    kind = kinds.lightweight(client.name)
    report, decision, incumbent = judge(project, client, store, judged, gate)
    held = judged.requests[judged.crossed :]
    fit = {k: v for k, v in asdict(model).items() if k not in ("model", "curve")}
    objective = objective_of(examples.rule.strategy, choice.settings)
    meta = {
        "schema_hash": features.schema_hash,
        "actions": list(project.actions),
        "client": client.name,
        "strategy": client.labels.strategy,
        "table": examples.rule.table.model_dump(),
        "objective": objective,
        "trees": choice.to_dict(),
        "trained_on": span_of(joined, client.name, windows[0]),
        "judged_on": span_of(joined, client.name, windows[1]),
        "examples": examples.counts,
        "events": None if joined.counts is None else asdict(joined.counts),
        "fit": fit,
        "metrics": report.to_dict(),
        "gate": asdict(decision),
    }
    decision = unless_held(decision, store, kind)
    with store.write(kind, meta, publish=decision.publish) as (folder, version):
        model.save(folder / "model.ubj")
        curve = "1 - ndcg" if objective == RANK else "loss"
        (folder / "history.json").write_text(json.dumps([{f"{curve} on later requests": loss} for loss in model.curve]))
        listed = {"shared": features.shared, "candidate": features.candidate, "schema_hash": features.schema_hash}
        (folder / "features.json").write_text(json.dumps(listed, indent=1))
        if held:
            (folder / REFERENCE).write_text(json.dumps(reference_of(features, held).to_dict()))
    return Outcome(
        client.name,
        decision.publish,
        decision.reason,
        version,
        incumbent,
        client.labels.strategy,
        examples.counts,
        fit,
        report.to_dict(),
        joined.notes,
        choice.to_dict(),
    )


def reference_of(features: FeatureSet, requests: Sequence[Request]) -> FeatureHistograms:
    """What features were like: in the newest requests of the log, whose candidates are all there and weigh alike.

    Training examples would not do: they are drawn and weighted by what became of them.
    """
    some = [request.matrix(rows_to_count(request.n)) for request in requests]
    return FeatureHistograms.of(features.names, np.concatenate(some))


def judge(
    project: Project, client: Client, store: BundleStore, judged: JudgedRequests, gate: Gate | None = None
) -> tuple[LightweightReport, Decision, str | None]:
    """Metrics of a model beside visit count, `boost` and the published incumbent, and the gate's decision."""
    features = FeatureSet.of(project.features)
    requests, scores = judged.requests, judged.scores
    orders: dict[str, Order] = {"lightweight": lambda _: scores, **baselines(client, features)}
    against, incumbent = without_model(client, features)[0], None
    if published := usable_order(store, client.name, features):
        against = "incumbent"
        incumbent, orders["incumbent"] = published
    report = evaluate_lightweight(
        requests,
        client,
        project.actions,
        features,
        orders,
        effect=effect_in_full_ranker(store, client.name, project.actions, requests),
    )
    difference = report.differences[against].get(f"ndcg@{NDCG_AT}")
    if difference is None:  # nothing held out
        return report, Decision(False, "refused: no held-out requests to judge on: let the log grow"), incumbent
    name = f"incumbent {incumbent}" if incumbent else against.replace("_", " ")
    constant = all(len(s) < 2 or np.ptp(s) == 0 for s in scores)
    finite = all(bool(np.isfinite(s).all()) for s in scores)
    decision = decide(
        difference,
        name,
        finite,
        constant,
        gate,
        report.alike,
        crossed=judged.crossed > 0,
        flattered=incumbent is None and any(request.live for request in requests),
    )
    return report, decision, incumbent
