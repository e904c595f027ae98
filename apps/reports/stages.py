"""Quality of each stage on replayed, held-out time: the requests, the orders of each, and what was relevant."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from apps.backfill.moment import Replayed, ReplayPlan
from apps.backfill.replay import Replay
from apps.reports.stages_orders import TITLES, MoreOrders, orders, unpublished
from apps.reports.stages_protocol import positive_actions
from apps.reports.stages_quality import CUTS, Judgements, StageQuality, longest
from apps.reports.stages_segments import Segments, few_locales
from cluster.progress import Progress, silent
from training.metrics.metric import Cuts


def evaluate_stages(
    replay: Replay,
    client: str,
    plan: ReplayPlan,
    cuts: Cuts = CUTS,
    progress: Progress = silent,
    more: MoreOrders | None = None,
    segments: Segments | None = None,
) -> StageQuality:
    """Replay held-out time with the loaded models. Relevant: pins that the user next acted on positively.

    `more` orders are judged over the same requests. `segments` adds the quality by part of them.
    """
    good = positive_actions(replay.opened, client)
    titles = {**TITLES, **({} if more is None else more.titles)}
    begins = np.array([part.begin for part in replay.slices(plan)])
    asked = np.zeros(len(begins), int)
    rows = Judgements(cuts)
    cold = Judgements(cuts)
    parts = []
    current = -1
    lacking = {name: Counter[str]() for name in titles}
    for moment in replay.run(client, plan, progress):
        relevant = np.unique(moment.next_pins[np.isin(moment.next_actions.astype(str), good)])
        if not len(relevant):
            continue
        ask = moment.answer.ask
        found = orders(replay.process, moment)
        now = int(np.searchsorted(begins, ask.at, "right")) - 1
        asked[now] += 1
        if more is not None:
            if now != current:
                more.refit(int(begins[now]))
            found |= more.orders(ask, longest(cuts))
        current = now
        for name in titles.keys() - found.keys():
            lacking[name][_fault(moment, name)] += 1
        rows.add(ask.user_id, found, relevant)
        if segments is not None:
            catalog = replay.process.catalogs.get(moment.answer.candidates.graph_version)
            parts.append(segments.of(catalog, moment))
            if len(rare := segments.cold_pins(catalog, relevant)):
                cold.add(ask.user_id, found, rare)
    known = {**unpublished(replay.process, client), **({} if more is None else more.missing)}
    missing = {name: _said(lacking[name], len(rows), known.get(name)) for name in titles if lacking[name]}
    by_part = {}
    if segments is not None:
        named = few_locales(parts)
        for name in sorted({name for names in named for name in names}):
            by_part[name] = rows.quality(titles, [i for i, names in enumerate(named) if name in names])
        by_part[segments.cold] = cold.quality(titles)
    said = [datetime.fromtimestamp(begin / 1e6, UTC).isoformat() for begin in begins.tolist()]
    slices = dict(zip(said, asked.tolist(), strict=True))
    return replace(rows.quality(titles), missing=missing, slices=slices, segments=by_part)


def _fault(moment: Replayed, name: str) -> str:
    """What the answer says of a stage that gave no order."""
    return next((fault for fault in moment.answer.faults if fault.startswith(name)), "the answer gives no reason")


def _said(faults: Counter[str], requests: int, known: str | None) -> str:
    """Why an order is missing, wholly or in part."""
    lacking = faults.total()
    if known and lacking == requests:
        return known
    return f"not scored in {lacking:,} of {requests:,} requests: {faults.most_common(1)[0][0]}"
