"""Many arms of one experiment: traffic of several runs as one, lifts over a baseline, and what their logs say.

Arms here saw the same users, days and draws in runs of their own, so a user's figures are paired across arms.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from apps.project import SHIPPED_CLIENTS, Opened
from apps.reports.comparison import lift_interval, lift_of
from apps.world.actions import HABITS
from apps.world.traffic import Traffic
from cluster.data.schema import IMPRESSED, RANKED
from cluster.errors import DataError
from cluster.features.assemble import FeatureSet
from cluster.settings.clients import load_clients
from cluster.settings.project import DEFAULT_ACTIONS
from cluster.store.log_parts import readable_batches
from training.metrics.intervals import resampled

COUNTS = ("requests", "shown", "did", "expected")
LOGGED = ["client", "experiment", "stage", "full_score", "candidate_features"]
TEACHER_TOP = 25


def merged(parts: Sequence[Traffic], along: Literal["arms", "users"] = "users") -> Traffic:
    """One Traffic of runs over the same clients: other arms of the same users, or other users of the same arms."""
    first = parts[0]
    same = "users" if along == "arms" else "arms"
    if any(p.clients != first.clients or list(getattr(p, same)) != list(getattr(first, same)) for p in parts):
        raise DataError(f"only runs of the same clients and {same} can be merged")
    axis = 1 if along == "arms" else 2
    requests, shown, did, expected = (np.concatenate([getattr(p, name) for p in parts], axis=axis) for name in COUNTS)
    arms = tuple(arm for p in parts for arm in p.arms) if along == "arms" else first.arms
    users = first.users if along == "arms" else np.concatenate([p.users for p in parts])
    return Traffic(first.clients, arms, first.actions, users, requests, shown, did, expected)


def shipped_utilities() -> dict[str, Mapping[str, float]]:
    """The weights of the five clients that ship, which the worlds of benches serve."""
    return {name: client.utility for name, client in load_clients(SHIPPED_CLIENTS, DEFAULT_ACTIONS).items()}


def lifts(
    traffic: Traffic, baseline: str, utilities: Mapping[str, Mapping[str, float]], resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Arm → client → the judged action: rate per pin shown, lift over the baseline, 95 % interval of resampled users.

    `true_*` are the same from the world's probabilities of what was shown: no noise of draws, only of users.
    `true_utility` is what the full ranker orders by, per pin shown, by the weights of `utilities[client]`; it counts
    what is hidden, too, and may be below 0, so it has no lift.
    """
    draws = resampled(len(traffic.users), resamples, seed, "multinomial")
    base = traffic.arms.index(baseline)
    out: dict[str, Any] = {}
    for at, arm in enumerate(traffic.arms):
        for code, client in enumerate(traffic.clients):
            action = traffic.actions.index(HABITS[client].primary)
            row: dict[str, Any] = {"action": HABITS[client].primary}
            shown = traffic.shown[code][[base, at]]
            for key, counts in (("", traffic.did), ("true_", traffic.expected)):
                made = counts[code][[base, at], :, action]
                rate = made.sum(axis=1) / shown.sum(axis=1)
                low, high = lift_interval(draws, shown, made, 0.95)
                figures = {"rate": float(rate[1]), "lift": lift_of(rate), "low": low, "high": high}
                row |= {f"{key}{name}": value for name, value in figures.items()}
            weight = np.array([utilities.get(client, {}).get(a, 0.0) for a in traffic.actions])
            row["true_utility"] = float(traffic.expected[code, at].sum(axis=0) @ weight / shown[1].sum())
            out.setdefault(arm, {})[client] = row
    return out


def local_and_funnel(opened: Opened, experiment: str) -> dict[str, dict[str, float]]:
    """From an arm's own serving log, by client: share of local pins shown, and of the teacher's best that survived.

    The second looks at requests whose dropped candidates the teacher scored too.
    """
    local = FeatureSet.of(opened.project.features).candidate.index("cross_locale_match")
    found: dict[str, dict[str, list[float]]] = {}
    for path in opened.new_process().logs.serving_files().paths:
        for row in (row for batch in readable_batches(path, 256, LOGGED) for row in batch.to_pylist()):
            if row["experiment"] != experiment or not row["candidate_features"]:
                continue
            stage = np.array(row["stage"])
            score = np.array([np.nan if v is None else v for v in row["full_score"]], np.float64)
            match = np.array(row["candidate_features"], np.float64).reshape(len(stage), -1)[:, local]
            into = found.setdefault(row["client"], {"local_share": [], f"teacher_top{TEACHER_TOP}_kept": []})
            into["local_share"].append(float((match[stage == IMPRESSED] == 1.0).mean()))
            if np.isfinite(score).all() and len(score) > TEACHER_TOP:
                best = np.argsort(-score, kind="stable")[:TEACHER_TOP]
                into[f"teacher_top{TEACHER_TOP}_kept"].append(float((stage[best] >= RANKED).mean()))
    return {c: {k: float(np.mean(v)) if v else float("nan") for k, v in row.items()} for c, row in found.items()}
