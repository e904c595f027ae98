"""What both backends of the lightweight rankers' fit share: the job, XGBoost's parameters, CPUs, the finished model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from cluster.errors import ConfigError
from cluster.settings.project import GbdtSettings
from training.lightweight.blocks import ExampleRows, roles_in
from training.lightweight.examples import ClientExamples
from training.lightweight.portable import make_portable
from training.lightweight.splits import TimeSplit
from training.lightweight.strategies.strategy import Strategy

RANK = "rank:ndcg"
"""XGBoost's LambdaMART: scores are margins, comparable within a request only."""

PAIR_WEIGHT = 0.1
"""`gbdt.min_child_weight` times this is a ranking's: gradients of pairs weigh far less than those of examples."""

AFTER_SHARE = 0.25
"""Of `gbdt.rounds`, what a ranking may add to trees of another objective."""

METRICS = {"binary:logistic": "logloss", "reg:squarederror": "rmse", RANK: "ndcg"}
"""What is watched on later requests to stop the boosting."""


@dataclass(frozen=True)
class Fitted:
    """One client's trees: `model` are UBJ bytes that xgboost 2.0 and 3.x load."""

    client: str
    model: bytes = field(repr=False)
    rounds: int
    loss: float  # on the later requests that stopped the boosting, 1 - NDCG for a ranking; NaN when there were none
    rows: int
    seconds: float  # inside the worker: matrices and boosting
    backend: str
    before: int = 0  # rounds of them that an earlier phase boosted
    curve: tuple[float, ...] = field(default=(), repr=False)  # `loss` after each round of the last phase

    def save(self, path: str | Path) -> None:
        """Write the model; `.ubj`."""
        Path(path).write_bytes(self.model)


@dataclass(frozen=True)
class FitJob:
    """What a worker needs to fit one client."""

    client: str
    code: int
    features: tuple[str, ...]
    objective: str  # XGBoost's
    rows: int
    blocks: Sequence[Any] = field(repr=False)  # of examples; ObjectRef[pa.Table]
    split: TimeSplit
    settings: GbdtSettings
    rounds: tuple[int, ...] = ()  # of each phase, where they are known; else the later requests stop them

    @classmethod
    def of(cls, examples: ClientExamples, settings: GbdtSettings) -> "FitJob":
        """The fit of a client's examples."""
        return cls(
            examples.client,
            examples.code,
            examples.features,
            objective_of(examples.rule.strategy, settings),
            examples.rows,
            examples.blocks,
            examples.split,
            settings,
        )

    @property
    def ranks(self) -> bool:
        """Whether it learns the order of a request's candidates, at last, and not the value of each."""
        return self.objective == RANK

    def on_all(self, fitted: Fitted) -> "FitJob":
        """The same trees once more, as many as were best, on the requests that stopped them too."""
        rounds = tuple(n for n in (fitted.before, fitted.rounds - fitted.before) if n)
        return replace(self, split=self.split.without_stopping(), rounds=rounds)

    @property
    def phases(self) -> tuple[str, ...]:
        """The objectives that trees are boosted for, one after the other: each goes on where the last one ended."""
        if self.ranks and self.settings.objective == "both":
            return ("binary:logistic", RANK)
        return (self.objective,)


def objective_of(strategy: Strategy, settings: GbdtSettings) -> str:
    """XGBoost's name of what is fitted: a strategy of values regresses, one of classes classifies or ranks."""
    return RANK if strategy.classifies and settings.objective in ("rank", "both") else strategy.objective


def example_rows(job: FitJob, role: int, blocks: Iterable[Any]) -> Iterator[ExampleRows]:
    """A job's examples of one role, block by block; to a ranking alone, requests without an order to learn are none."""
    for block in blocks:
        mine = roles_in(block, job.code, job.split) == role
        if mine.any():
            rows = ExampleRows.of(block, mine)
            rows = rows.of_several_grades() if job.phases == (RANK,) else rows
            if len(rows.group):
                yield rows


def given(objective: str, rows: ExampleRows) -> dict[str, np.ndarray]:
    """What XGBoost wants to know of the rows: a ranking objective takes grades, and one weight for each request."""
    if objective == RANK:
        return {"label": rows.grade, "weight": rows.request_weight, "group": rows.group}
    return {"label": rows.label, "weight": rows.weight}


def require_monotone(settings: GbdtSettings, features: Sequence[str]) -> None:
    """Raises ConfigError for a name under `gbdt.monotone` that is no feature of the project."""
    for name in settings.monotone:
        if name not in features:
            near = get_close_matches(name, features, 1)
            hint = f"did you mean '{near[0]}'?" if near else "docs/features.md lists them"
            raise ConfigError(f"gbdt.monotone: no feature is called '{name}': {hint}")


def parameters(settings: GbdtSettings, objective: str, threads: int, features: Sequence[str] = ()) -> dict[str, Any]:
    """XGBoost's parameters, the same on both backends; `features` in their order, to which constraints belong.

    Ranking is LambdaMART (Burges, 2010) with linear gains, as the product's NDCG has, on pairs with the best candidates
    of the present order.
    """
    ranking: dict[str, Any] = {
        "lambdarank_pair_method": "topk",
        "lambdarank_num_pair_per_sample": settings.rank_pairs,
        "ndcg_exp_gain": False,
    }
    return {
        "objective": objective,
        "eval_metric": METRICS[objective],
        **(ranking if objective == RANK else {}),
        **({"monotone_constraints": tuple(settings.monotone.get(f, 0) for f in features)} if settings.monotone else {}),
        "tree_method": "hist",
        "max_bin": settings.max_bin,
        "max_depth": settings.max_depth,
        "subsample": settings.row_share,
        "learning_rate": settings.learning_rate,
        "min_child_weight": settings.min_child_weight * (PAIR_WEIGHT if objective == RANK else 1.0),
        "colsample_bytree": settings.column_share,
        "seed": settings.seed,
        "nthread": threads,
    }


def plan_lanes(jobs: int, total: float, free: float, settings: GbdtSettings) -> tuple[int, float]:
    """(runs side by side, CPUs that each worker reserves). One CPU is always left to others.

    When less is free than a worker asks for, it reserves what there is: a run that waits for CPUs which a Serve
    application holds would wait for ever.
    """
    spare = max(min(total - 1.0, free), 0.0)
    each = settings.workers * settings.cpus_per_worker
    lanes = max(1, min(jobs, int(spare // each)))
    reserve = min(settings.cpus_per_worker, int(100 * spare / (lanes * settings.workers)) / 100)
    return lanes, reserve


def finish(
    job: FitJob, booster: Any, log: Mapping[str, Any], rows: int, seconds: float, backend: str, before: int = 0
) -> Fitted:
    """Cut the trees after the best round, name the features, write a model that both xgboost versions read.

    `log` is of the rounds after the first `before`.
    """
    stopped = next(iter(log.values()), None)
    losses = np.asarray(next(iter(stopped.values())) if stopped else [])
    losses = 1.0 - losses if job.ranks else losses
    rounds = before + int(np.argmin(losses)) + 1 if len(losses) else booster.num_boosted_rounds()
    if rounds < booster.num_boosted_rounds():
        booster = booster[:rounds]
    booster.feature_names = list(job.features)
    model = make_portable(bytes(booster.save_raw("ubj")))
    loss = float(losses.min()) if len(losses) else float("nan")
    return Fitted(job.client, model, rounds, loss, rows, seconds, backend, before, tuple(losses.tolist()))
