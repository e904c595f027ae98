"""Objectives and depths of the lightweight ranker's trees, on a project whose history was backfilled.

Every candidate of the grid (training/lightweight/choose.py) is fitted on the log's requests, as training does it, and
what training itself would choose is told with its figures. Then the time after the log is replayed: the walk's
candidates in each order, against the pins that the user next acted on; relevant, cuts and requests as in `pinfunnel
evaluate stages`. Intervals resample users. A log is what examples/movielens/run.py leaves in its --work folder.

    python -m apps.bench.learning.objectives WORK/seed-0/pinfunnel.yaml [--client movies] [--split 0.8] [--seeds 3]
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.bench.machine import machine, versions
from apps.project import Opened, open_project
from cluster import session
from cluster.features.assemble import FeatureBlock
from cluster.settings.project import GbdtSettings
from training.lightweight.choose import DEEP, SHALLOW, candidates, choose
from training.lightweight.examples import ClientExamples, build_examples
from training.lightweight.fit import fit_all
from training.lightweight.jobs import FitJob, Fitted
from training.log.requests import Joined, join_logs
from training.log.windows import windows_of
from training.metrics.cases import Answered
from training.metrics.intervals import bootstrap
from training.metrics.metric import Cuts, figures
from training.metrics.ranking import order_by
from training.metrics.registry import ANSWERS

CUTS: Cuts = {"survivors": (50,), "head": (20,)}
HELD_OUT = 0.1

VARIATIONS: Mapping[str, Mapping[str, Any]] = {
    "rank, depth 3, slower": {"objective": "rank", **SHALLOW},
    "rank, depth 5, patience 40": {"objective": "rank", **DEEP, "early_stopping_rounds": 40},
    "both, depth 3": {"objective": "both", **SHALLOW},
    "both, depth 5": {"objective": "both", **DEEP},
    "rank, depth 5, 100 pairs": {"objective": "rank", "rank_pairs": 100, **DEEP},
    "logistic, depth 7": {"objective": "logistic", "max_depth": 7, "min_child_weight": 20.0},
}
"""Tried beside the grid, with --more."""


def fit_grid(joined: Joined, opened: Opened, client: str, seed: int, more: bool) -> dict[str, Any]:
    """Trees of each candidate by name, what training would choose, and seconds."""
    settings = opened.project.gbdt.model_copy(update={"seed": seed})
    windows = windows_of(joined, [client], HELD_OUT)[0]
    made = build_examples(joined, {client: opened.clients[client]}, windows)
    began = time.perf_counter()
    choice = choose(joined, opened.clients, made, settings)[client]
    seconds = {"choice": round(time.perf_counter() - began, 1)}
    grid = candidates(settings)
    if more:
        grid |= {name: settings.model_copy(update=dict(changes)) for name, changes in VARIATIONS.items()}
    fitted = {name: _one(made[client], tried) for name, tried in grid.items()}
    seconds |= {name: round(one.seconds, 1) for name, one in fitted.items()}
    return {"fitted": fitted, "choice": choice.to_dict(), "seconds": seconds}


def _one(examples: ClientExamples, settings: GbdtSettings) -> Fitted:
    return fit_all([FitJob.of(examples, settings)], settings)[0]


def judge(opened: Opened, client: str, split: float, models: Mapping[str, bytes]) -> tuple[dict[str, Any], np.ndarray]:
    """Order → figure → value a request of the replayed time after `split`; and each request's user, from 0."""
    replay = Replay(opened)
    labels = opened.clients[client].labels
    bad = set(opened.project.negative_actions)
    good = [a for a, w in labels.action_weights.items() if w > 0 and a not in bad]
    boosters = {name: xgb.Booster({"nthread": 1}, model_file=bytearray(model)) for name, model in models.items()}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("visit_count", *models)}
    users: list[Any] = []
    for moment in replay.run(client, ReplayPlan(graphs=4, every=10, since=replay.moment(split), seed=1)):
        relevant = np.unique(moment.next_pins[np.isin(moment.next_actions.astype(str), good)])
        ranked, candidates = moment.answer.ranked, moment.answer.candidates
        if not len(relevant) or ranked is None:
            continue
        users.append(moment.answer.ask.user_id)
        rows = FeatureBlock(ranked.shared, ranked.candidates).matrix()
        scores = {"visit_count": candidates.score, **{n: one.inplace_predict(rows) for n, one in boosters.items()}}
        for name, score in scores.items():
            hit = np.isin(candidates.pin_ids[order_by(score)][:50], relevant)
            found[name].append(figures(ANSWERS, Answered(hit, len(relevant)), CUTS))
    table = {n: {f: np.array([row[f] for row in rows]) for f in rows[0]} for n, rows in found.items()}
    return table, np.unique(np.asarray(users), return_inverse=True)[1]


def compare(project: Path, client: str | None, split: float, seeds: int, more: bool) -> dict[str, Any]:
    """Figures of each order with intervals, and their differences to the first of the grid; by seed, and the mean."""
    opened = open_project(project)
    client = client or next(iter(opened.clients))
    out: dict[str, Any] = {"choice": {}, "seconds": {}, "rounds": {}}
    with session.session(dashboard=False):
        process = opened.new_process()
        joined = join_logs(opened.project, process.logs, [client])
        fitted: dict[str, Fitted] = {}
        for seed in range(seeds):
            made = fit_grid(joined, opened, client, seed, more)
            out["choice"][seed], out["seconds"][seed] = made["choice"], made["seconds"]
            fitted |= {f"{name} / {seed}": one for name, one in made["fitted"].items()}
    table, users = judge(opened, client, split, {name: one.model for name, one in fitted.items()})
    names = list(dict.fromkeys(name.rpartition(" / ")[0] for name in fitted))
    mean = {
        name: {
            f: np.mean([table[f"{name} / {seed}"][f] for seed in range(seeds)], axis=0) for f in table["visit_count"]
        }
        for name in names
    }
    mean["visit_count"] = table["visit_count"]
    out["rounds"] = {name: one.rounds for name, one in fitted.items()}
    out["requests"], out["users"] = len(users), int(users.max(initial=-1)) + 1
    out["orders"] = {n: {f: bootstrap(v, unit=users).to_dict() for f, v in of.items()} for n, of in mean.items()}
    first = names[0]
    out["against_first"] = {
        n: {f: bootstrap(v - mean[first][f], unit=users).to_dict() for f, v in mean[n].items()} for n in names[1:]
    }
    return {**out, "machine": machine(), "versions": versions("xgboost-cpu", "numpy")}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--client")
    parser.add_argument("--split", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--more", action="store_true")
    asked = parser.parse_args()
    print(json.dumps(compare(asked.project, asked.client, asked.split, asked.seeds, asked.more), indent=2))
