"""From logged requests to published quotas of one client: learn, replay on later requests, gate, bundle.

The log has all candidates with each source's rank, so what a smaller allocation would have found is replayed exactly;
only requests that were asked at the client's full quotas count. Ray must be running.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow.compute as pc

from cluster.errors import ModelError
from cluster.features.assemble import FeatureSet
from cluster.kinds import quotas as kind_of_bundle
from cluster.progress import Progress, silent
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from cluster.store.logs import LogStore
from training.judge.gate import Decision
from training.judge.hold import unless_held
from training.log.arrays import COLUMNS, Request, read_requests
from training.log.requests import join_logs
from training.log.tasks import LogWindow
from training.metrics.intervals import Interval, bootstrap
from training.quotas.baselines import (
    calibrated_curve,
    cheapest,
    fusion_curve,
    learned_curve,
    round_robin_curve,
    static_curve,
)
from training.quotas.equal_cost import gain_over, kept_at
from training.quotas.learned import LearnedQuotas
from training.quotas.seen import Allotted, SeenCandidates, replay, seen_candidates

MOST_REQUESTS = 4_000
LEARN_SHARE = 0.7
LEAST_WANTED = 100
"""Wanted candidates, in the part that learns and in the one that judges, below which nothing is learned."""

SLACK = 0.02
"""How much less than asked the later requests may keep before quotas are refused."""


@dataclass(frozen=True)
class QuotaOutcome:
    """What became of it. Shares are of the wanted candidates kept, on requests that nothing was learned from."""

    client: str
    published: bool
    reason: str
    version: str
    requests: int
    full_cost: float  # candidates scored at full quotas
    kept: Interval  # share kept, by request
    cost: float  # candidates scored with learned quotas
    by_request: bool  # they differ by request; else they are the same for everyone
    over_static: Interval  # what those by request keep more of than static ones at the same cost
    at_equal_share: dict[str, dict[str, float] | None]  # way to spend candidates -> share and cost, or None
    curves: dict[str, list[tuple[float, float]]] = field(repr=False, default_factory=dict)  # (cost, share)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "kept": self.kept.to_dict(), "over_static": self.over_static.to_dict()}


def learn_quotas(
    project: Project,
    client: Client,
    store: BundleStore,
    logs: LogStore,
    *,
    keep: float = 0.98,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress = silent,
) -> QuotaOutcome:
    """Quotas that keep the share `keep` of what full quotas found. Raises ModelError when the log is too short."""
    sources = tuple(client.quotas)
    budget = tuple(client.quotas.values())
    progress("read", 0.0)
    seen = read_seen(project, client, logs, since, until)
    progress("read", 1.0)
    cut = int(seen.requests * LEARN_SHARE)
    before, after = seen.of(np.arange(cut)), seen.of(np.arange(cut, seen.requests))
    if min(before.wanted.sum(), after.wanted.sum()) < LEAST_WANTED:
        raise ModelError(
            f"client {client.name}: {int(seen.wanted.sum())} wanted candidates in {seen.requests} requests at full "
            f"quotas ({', '.join(sources)}) are too few: let the log grow, or backfill it"
        )
    by_request = _priced(LearnedQuotas.learn(before, budget), before, keep)
    progress("learn", 1.0)
    static = static_curve(before, budget, after)
    chosen, gain = not_worse(by_request, before, after, keep, static)
    now = replay(after, chosen.of_requests(after, chosen.price))
    whole = replay(after, np.asarray(budget))
    kept = bootstrap(now.kept / np.where(now.wanted > 0, now.wanted, np.nan), now.wanted)
    published = kept.mean >= keep - SLACK and now.cost < whole.cost
    curves = {
        "learned": learned_curve(by_request, after),
        "static": static,
        "calibrated": calibrated_curve(before, budget, after),
        "fusion": fusion_curve(after),
        "round_robin": round_robin_curve(budget, after),
    }
    decision = Decision(published, _reason(published, kept, keep, now, whole, gain))
    told = unless_held(decision, store, kind_of_bundle(client.name))
    outcome = QuotaOutcome(
        client.name,
        told.publish,
        told.reason,
        "",
        seen.requests,
        whole.cost,
        kept,
        now.cost,
        chosen is by_request,
        gain,
        {name: _told(cheapest(curve, keep)) for name, curve in curves.items()},
        {name: [(point.cost, point.share) for point in curve] for name, curve in curves.items()},
    )
    meta = {**outcome.to_dict(), "gate": asdict(decision)}
    with store.write(kind_of_bundle(client.name), meta, publish=told.publish) as (folder, version):
        chosen.save(folder)
    progress("judge", 1.0)
    return QuotaOutcome(**{**vars(outcome), "version": version})


def read_seen(
    project: Project, client: Client, logs: LogStore, since: datetime | None = None, until: datetime | None = None
) -> SeenCandidates:
    """The client's logged requests at full quotas, the oldest first."""
    joined = join_logs(project, logs, [client.name], since, until)
    share = min(1.0, MOST_REQUESTS / max(len(joined.index.times(client.name)), 1))
    window = {client.name: LogWindow(share=share)}
    columns = (*COLUMNS, "source_budget", "query_pin_id")
    history = FeatureSet.of(project.features).shared.index("user_history")
    found: list[tuple[Any, Request, int, int]] = []
    for table in joined.requests(columns, window).iter_batches(batch_size=None, batch_format="pyarrow"):
        if not table.num_rows:
            continue
        asked = table.column("source_budget").to_pylist()
        pins = pc.list_value_length(table.column("query_pin_id")).to_pylist()
        at = table.column("requested_at").to_pylist()
        for request in read_requests(table):
            if request.sources is not None and _in_full(client, request.sources.names, asked[request.row]):
                did = round(float(np.expm1(request.shared[history])))
                found.append((at[request.row], request, pins[request.row] or 0, did))
    found.sort(key=lambda one: one[0])
    _, requests, pins_of, did_of = zip(*found, strict=True) if found else ((), (), (), ())
    return seen_candidates(requests, pins_of, did_of, tuple(client.quotas))


def _in_full(client: Client, names: Sequence[str], budget: Sequence[int]) -> bool:
    """Whether a request asked every source that the client has now for as much as it has now."""
    asked = dict(zip(names, budget, strict=True))
    return all(asked.get(name, 0) >= quota for name, quota in client.quotas.items())


def not_worse(
    by_request: LearnedQuotas, before: SeenCandidates, after: SeenCandidates, keep: float, static: Sequence[Allotted]
) -> tuple[LearnedQuotas, Interval]:
    """Quotas by request; or the same for everyone, priced on `before`, where static ones keep as much of `after` with
    as many candidates. And what those by request keep more.
    """
    now = replay(after, by_request.of_requests(after, by_request.price))
    gain = gain_over(now.kept, kept_at(static, now.cost))
    return (by_request if gain.mean > 0.0 else _priced(by_request.static(), before, keep)), gain


def _priced(learned: LearnedQuotas, seen: SeenCandidates, keep: float) -> LearnedQuotas:
    """At the highest price at which they still keep the share `keep`."""
    enough = (p for p in learned.prices().tolist() if replay(seen, learned.of_requests(seen, p)).share >= keep)
    return replace(learned, price=next(enough, 0.0))


def _told(point: Allotted | None) -> dict[str, float] | None:
    return None if point is None else {"share": point.share, "cost": point.cost}


def _reason(published: bool, kept: Interval, keep: float, now: Allotted, whole: Allotted, gain: Interval) -> str:
    figures = (
        f"{kept.mean:.3f} [{kept.low:.3f}, {kept.high:.3f}] of the wanted candidates kept with {now.cost:.0f} of "
        f"{whole.cost:.0f} candidates scored, on {len(now.kept)} later requests; "
        f"quotas by request keep {gain.mean:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}] over static ones at equal cost"
        + ("" if gain.mean > 0.0 else ", so all requests have the same")
    )
    if published:
        return f"published: {figures}"
    if kept.mean < keep - SLACK:
        return f"refused: {figures}, not the {keep:.2f} that was asked for"
    return f"refused: nothing is saved, {figures}"
