"""What a label strategy is: from the candidates of one logged request to labels and weights. Pure NumPy.

A strategy is one file of this folder that defines `STRATEGY` (docs/extend/strategy.md); registry.py finds it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cluster.data.schema import IMPRESSED
from cluster.settings.clients import StrategyTable

CLASSES = ("action", "negative_action", "impressed", "unimpressed")
ACTION, NEGATIVE, SEEN, UNSEEN = range(4)
"""Example classes: a positive action · a negative action · shown, nothing done · not shown."""


@dataclass(frozen=True)
class LoggedCandidates:
    """The n candidates of one logged request, and what became of them."""

    request_id: str
    stage: np.ndarray  # int8[n]
    explored: np.ndarray  # bool[n], shown by exploration: it passed no ranker
    actions: np.ndarray  # float32[n, A], 1 = done
    local: np.ndarray  # float32[n], 1 where pin and user share a locale, NaN unknown
    teacher: np.ndarray  # float32[n], the full ranker's utility, NaN where it did not score
    teacher_rate: float = math.nan  # chance that a candidate only the walk chose has a teacher's score; NaN: none has
    kept_rate: float = 1.0  # chance that an unimpressed candidate was logged
    live: bool = True  # it showed an answer; history replayed without impressions showed nothing


@dataclass(frozen=True)
class Labels:
    """Per candidate of one request, all [n]."""

    label: np.ndarray  # float32
    weight: np.ndarray  # float32, 0 where not kept
    kept: np.ndarray  # bool
    example_class: np.ndarray  # int8, index into CLASSES
    relevance: np.ndarray | None = None  # float32, the gain of each for a ranking objective; None: its label

    @property
    def grade(self) -> np.ndarray:
        """float32[n], not negative: what each is worth in an order of its request."""
        worth = self.label if self.relevance is None else self.relevance
        return np.maximum(worth, 0.0).astype(np.float32)


@dataclass(frozen=True)
class Strategy:
    """One way to label."""

    name: str  # what `labels.strategy` of a client says
    meaning: str  # one line for people
    table: StrategyTable
    label: Callable[["LabelRule", LoggedCandidates, np.ndarray], Labels] = field(
        repr=False
    )  # the last: classes, int8[n]
    objective: Literal["binary:logistic", "reg:squarederror"] = "binary:logistic"  # XGBoost's
    without_examples: str = "no examples before the held-out time: let the log grow first"  # why none could be made

    @property
    def classifies(self) -> bool:
        """Whether it tells classes apart, so that a log with one class only teaches nothing."""
        return self.objective == "binary:logistic"


@dataclass(frozen=True)
class LabelRule:
    """A client's labelling, resolved: what `label_request` needs besides the request."""

    strategy: Strategy
    weights: tuple[float, ...]  # per action; NaN for a negative action
    local_label_weight: float = 0.0
    request_balance: float = 0.0

    @property
    def table(self) -> StrategyTable:
        """The strategy's table."""
        return self.strategy.table


def label_request(rule: LabelRule, of: LoggedCandidates) -> Labels:
    """Labels of the candidates of one request, by the rule's strategy."""
    return rule.strategy.label(rule, of, classify(rule, of))


def classify(rule: LabelRule, of: LoggedCandidates) -> np.ndarray:
    """int8[n], index into CLASSES; the same for every strategy.

    An action counts wherever the candidate stopped (a replayed log has no impressions); a negative action wins over a
    positive one.
    """
    negative = np.isnan(np.asarray(rule.weights, np.float32))
    disliked = (of.actions[:, negative] > 0).any(axis=1)
    shown = of.stage >= IMPRESSED
    return np.select([disliked, worth(rule, of) > 0, shown], [NEGATIVE, ACTION, SEEN], UNSEEN).astype(np.int8)


def worth(rule: LabelRule, of: LoggedCandidates) -> np.ndarray:
    """float32[n]: the largest weight of a positive action done with each candidate, 0 without one."""
    weights = np.asarray(rule.weights, np.float32)
    best: np.ndarray = (of.actions * np.where(np.isnan(weights), 0.0, weights)).max(axis=1, initial=0.0)
    return best


def sample(rows: np.ndarray, most: int, request_id: str) -> tuple[np.ndarray, float]:
    """At most `most` of `rows`, uniformly and without replacement, and the rate they were drawn at.

    The draw depends on the request id alone, so that any process draws the same.
    """
    if len(rows) <= most:
        return rows, 1.0
    from cluster.hashing import hash_ids  # numba loads here, not with the names of strategies that every command checks

    seed = int(hash_ids([request_id])[0])
    picked = np.random.default_rng(seed).choice(len(rows), most, replace=False, shuffle=False)
    return rows[np.sort(picked)], most / len(rows)
