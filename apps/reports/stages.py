"""Quality of each stage on replayed, held-out time: the same candidates in every stage's order, and popularity."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from apps.backfill.moment import Replayed, ReplayPlan
from apps.backfill.replay import Replay
from cluster.progress import Progress, silent
from training.metrics.cases import Answered
from training.metrics.intervals import Interval, bootstrap
from training.metrics.metric import Cuts, figures
from training.metrics.registry import ANSWERS

ORDERS = ("popularity", "visit_count", "visit_count_corrected", "lightweight", "full")
CUTS: Cuts = {"survivors": (50,), "head": (20,)}


@dataclass(frozen=True)
class StageQuality:
    """Means over requests, each with a 95 % interval from resampled requests."""

    requests: int
    users: int
    figures: dict[str, dict[str, Interval]]  # figure (recall@50, …) → order
    differences: dict[str, Interval]  # "after - before figure", of one order and the next

    def as_json(self) -> dict[str, Any]:
        """The form that scripts read: each metric under its own name, with the k that it was cut at beside it."""
        out: dict[str, Any] = {"requests": self.requests, "users": self.users}
        for figure, by_order in self.figures.items():
            metric, _, k = figure.partition("@")
            out[f"{metric}_at"] = int(k)
            out[metric] = {name: asdict(interval) for name, interval in by_order.items()}
        out["differences"] = {name.partition("@")[0]: asdict(interval) for name, interval in self.differences.items()}
        return out


def orders(replay: Replay, moment: Replayed, beta: float = 0.5) -> dict[str, np.ndarray]:
    """Pin ids of each order, best first. Popularity ranks all pins; the others rank the walk's candidates.

    `visit_count_corrected` divides by degree^beta. The full ranker's order is that of its survivors, then the
    lightweight ranker's.
    """
    answer, process = moment.answer, replay.process
    catalog = process.catalogs.get(answer.walked.graph_version)
    walked, ranked = answer.walked, answer.ranked
    assert ranked is not None
    popular = catalog.graph.pin_ids.ids_of(catalog.pins.popular(-1, catalog.graph.n_pins))
    barred = np.array(answer.ask.exclude, dtype=popular.dtype)
    degree = np.maximum(catalog.graph.pin_degree[walked.pins], 1)
    by_visits = np.arange(len(walked.pins))
    out = {
        "popularity": popular[~np.isin(popular, barred)],
        "visit_count": walked.pin_ids[by_visits],
        "visit_count_corrected": walked.pin_ids[np.argsort(-walked.score / degree**beta, kind="stable")],
    }
    if ranked.version is not None:
        light = np.argsort(-ranked.scores, kind="stable")
        out["lightweight"] = walked.pin_ids[light]
        if answer.scored is not None and answer.scored.version is not None:
            best = ranked.survivors[np.argsort(-answer.scored.utility, kind="stable")]
            out["full"] = walked.pin_ids[np.concatenate([best, light[~np.isin(light, best)]])]
    return out


def judged(order: np.ndarray, relevant: np.ndarray, cuts: Cuts = CUTS) -> dict[str, float]:
    """Figures of one order of pin ids, best first, against the ids that are `relevant` (each once)."""
    return figures(
        ANSWERS, Answered(np.isin(order[: max(max(ks) for ks in cuts.values())], relevant), len(relevant)), cuts
    )


def evaluate_stages(
    replay: Replay, client: str, plan: ReplayPlan, cuts: Cuts = CUTS, progress: Progress = silent
) -> StageQuality:
    """Replay held-out time with the published models. Relevant: pins that the user next acted on positively."""
    weights: Mapping[str, float] = replay.opened.clients[client].labels.action_weights
    negative = set(replay.opened.project.negative_actions)
    good = [a for a, w in weights.items() if w > 0 and a not in negative]
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in ORDERS}
    users: list[object] = []
    for moment in replay.run(client, plan, progress):
        relevant = np.unique(moment.next_pins[np.isin(moment.next_actions.astype(str), good)])
        if not len(relevant):
            continue
        users.append(moment.answer.ask.user_id)
        for name, order in orders(replay, moment).items():
            rows[name].append(judged(order, relevant, cuts))
    present = [name for name in ORDERS if rows[name]]
    names = rows[present[0]][0] if present else ()
    values = {figure: {name: np.array([row[figure] for row in rows[name]]) for name in present} for figure in names}
    in_line = [name for name in present if name != "visit_count_corrected"]
    return StageQuality(
        requests=len(users),
        users=len(set(users)),
        figures={figure: {name: bootstrap(v) for name, v in table.items()} for figure, table in values.items()},
        differences={
            f"{after} - {before} {figure}": bootstrap(table[after] - table[before])
            for before, after in pairwise(in_line)
            for figure, table in values.items()
        },
    )
