"""The `gbdt` section of `pinfunnel.yaml`: how the lightweight rankers' trees are boosted."""

from typing import Literal

from pydantic import Field

from cluster.settings.parsing import Settings
from cluster.settings.resources import CustomResources


class GbdtSettings(Settings):
    """Parameters of the lightweight rankers; `backend` picks Ray Train's own trainer or xgboost-ray (an extra).

    With `objective: auto` training chooses, for each client and by its own log, between logistic loss on each example
    and a ranking of each request's (LambdaMART), and how the trees are grown; `both` is a ranking that goes on from
    logistic trees. What this section names is not chosen.
    Shallow trees and logistic loss are what a small log gets: a first model learns from some hundred answers and then
    ranks thousands of candidates that nobody was shown, and deep trees are sure of what they never saw
    (docs/experiments/training.md).
    """

    backend: Literal["ray-train", "xgboost-ray"] = Field(
        "ray-train", description="what fits the trees; xgboost-ray is an extra that has to be installed"
    )
    objective: Literal["auto", "logistic", "rank", "both"] = Field(
        "auto", description="loss of the trees; auto: chosen for each client by its own log"
    )
    rank_pairs: int = Field(20, ge=1, description="how many of the best candidates a ranking pairs with the others")
    rounds: int = Field(400, ge=1, description="trees at most")
    early_stopping_rounds: int = Field(
        120, ge=1, description="rounds without a better figure after which boosting ends; few end a ranking too early"
    )
    max_depth: int = Field(3, ge=1, le=8, description="depth of a tree")
    learning_rate: float = Field(0.05, gt=0, le=1, description="share of each tree's answer that is added")
    min_child_weight: float = Field(
        10.0, ge=0, description="evidence that a leaf needs; of a ranking a tenth of it: its gradients are smaller"
    )
    column_share: float = Field(0.5, gt=0, le=1, description="share of the features that each tree may use")
    row_share: float = Field(1.0, gt=0, le=1, description="share of the examples that each tree may use")
    monotone: dict[str, Literal[-1, 1]] = Field(
        {}, description="feature -> 1 where more of it may only raise the score, -1 where it may only lower it"
    )
    source_dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of the training requests that forget a source which found nearly all of their candidates",
    )
    max_bin: int = Field(
        256, ge=2, description="values of a feature that trees tell apart; serving is fastest up to 256"
    )
    workers: int = Field(1, ge=1, description="workers of Ray Train that fit one client together")
    cpus_per_worker: float = Field(1.0, gt=0, description="CPUs that each of them reserves")
    resources: CustomResources = Field(
        {}, description="custom resources that each worker asks for; a small log is fitted without workers"
    )
    seed: int = Field(0, description="the same seed and log give the same trees")
