"""Quality of each stage on replayed, held-out time: the same candidates in every stage's order, and popularity."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from apps.backfill.replay import Progress, Replay, Replayed, ReplayPlan
from training.metrics.ranking import Interval, bootstrap

ORDERS = ("popularity", "visit_count", "visit_count_corrected", "lightweight", "full")


@dataclass
class StageQuality:
    """Recall and NDCG of each order, mean over requests with a 95 % interval from resampled users."""

    requests: int
    users: int
    recall_at: int
    ndcg_at: int
    recall: dict[str, Interval] = field(default_factory=dict)
    ndcg: dict[str, Interval] = field(default_factory=dict)
    differences: dict[str, Interval] = field(default_factory=dict)


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


def recall_and_ndcg(order: np.ndarray, relevant: np.ndarray, recall_at: int, ndcg_at: int) -> tuple[float, float]:
    """Binary recall@k and NDCG@k of one request, the ideal cut at min(k, relevant)."""
    hits = np.isin(order[: max(recall_at, ndcg_at)], relevant)
    discount = 1.0 / np.log2(np.arange(2, ndcg_at + 2))
    gain = float((hits[:ndcg_at] * discount[: len(hits[:ndcg_at])]).sum())
    return float(hits[:recall_at].sum()) / len(relevant), gain / float(discount[: min(ndcg_at, len(relevant))].sum())


def evaluate_stages(
    replay: Replay,
    client: str,
    plan: ReplayPlan,
    recall_at: int = 50,
    ndcg_at: int = 20,
    progress: Progress | None = None,
) -> StageQuality:
    """Replay held-out time with the published models. Relevant: pins that the user next acted on positively."""
    weights: Mapping[str, float] = replay.opened.clients[client].labels.action_weights
    negative = set(replay.opened.project.negative_actions)
    good = [a for a, w in weights.items() if w > 0 and a not in negative]
    values: dict[str, list[tuple[float, float]]] = {name: [] for name in ORDERS}
    users: list[object] = []
    for moment in replay.run(client, plan, progress):
        relevant = np.unique(moment.next_pins[np.isin(moment.next_actions.astype(str), good)])
        if not len(relevant):
            continue
        users.append(moment.answer.ask.user_id)
        for name, order in orders(replay, moment).items():
            values[name].append(recall_and_ndcg(order, relevant, recall_at, ndcg_at))
    quality = StageQuality(len(users), len(set(users)), recall_at, ndcg_at)
    scores = {name: np.array(v) for name, v in values.items() if v}
    for name, pairs in scores.items():
        quality.recall[name] = bootstrap(pairs[:, 0])
        quality.ndcg[name] = bootstrap(pairs[:, 1])
    present = [n for n in ORDERS if n in scores and n != "visit_count_corrected"]
    for before, after in pairwise(present):
        for at, metric in enumerate(("recall", "ndcg")):
            quality.differences[f"{after} - {before} {metric}"] = bootstrap(
                scores[after][:, at] - scores[before][:, at]
            )
    return quality
