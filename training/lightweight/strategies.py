"""How a logged request becomes labels and weights: the strategies as tables. Pure NumPy: knows nothing of Ray or files.

The table of Pinterest's lightweight ranking post (2020), section 4 of the design; docs/strategies.md explains each.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from cluster.data.schema import IMPRESSED, WALKED
from cluster.errors import ConfigError
from cluster.hashing import hash_ids
from cluster.settings.clients import LabelSettings, StrategyTable

CLASSES = ("action", "negative_action", "impressed", "unimpressed")
ACTION, NEGATIVE, SEEN, UNSEEN = range(4)
"""Example classes: a positive action · a negative action · shown, nothing done · not shown."""

PRESETS: Mapping[str, StrategyTable] = MappingProxyType(
    {
        "engagement": StrategyTable(impressed_no_action_label=0.0, unimpressed_label=None),
        "funnel_pure": StrategyTable(
            impressed_no_action_label=1.0, impressed_no_action_weight=0.5, unimpressed_label=0.0, unimpressed_weight=0.1
        ),
        "funnel_blended": StrategyTable(
            impressed_no_action_label=0.0, impressed_no_action_weight=1.0, unimpressed_label=0.0, unimpressed_weight=0.1
        ),
        "funnel_blended_soft": StrategyTable(
            impressed_no_action_label=1.0, impressed_no_action_weight=0.1, unimpressed_label=0.0, unimpressed_weight=0.1
        ),
        "distillation": StrategyTable(distillation=True, unimpressed_per_request=60),
    }
)
"""Unimpressed candidates stand for all of a request's, often 20 times the shown ones: 0.1 keeps both in sight."""


@dataclass(frozen=True)
class LabelRule:
    """A client's labelling, resolved: what `label_request` needs besides the request."""

    table: StrategyTable
    weights: tuple[float, ...]  # per action; NaN for a negative action
    local_label_weight: float = 0.0
    request_balance: float = 0.0

    @property
    def objective(self) -> str:
        """XGBoost's objective: weighted soft labels, or the regression of a student on its teacher's utility."""
        return "reg:squarederror" if self.table.distillation else "binary:logistic"


@dataclass(frozen=True)
class Labels:
    """Per candidate of one request, all [n]."""

    label: np.ndarray  # float32
    weight: np.ndarray  # float32, 0 where not kept
    kept: np.ndarray  # bool
    example_class: np.ndarray  # int8, index into CLASSES


def resolve(settings: LabelSettings, actions: Sequence[str], negative_actions: Sequence[str]) -> LabelRule:
    """The rule of a client. A written-out `table` wins over the preset of `strategy`; `custom` needs one.

    Weights come from the table's `action_weight`, else from `labels.action_weights`; unnamed actions weigh 0 and are
    then as good as no action.
    """
    if settings.table is None and settings.strategy == "custom":
        raise ConfigError("labels.strategy is custom: write the table under labels.table, see docs/strategies.md")
    table = settings.table or PRESETS[settings.strategy]
    for key in ("impressed_no_action_label", "unimpressed_label"):
        value = getattr(table, key)
        if value is not None and not 0.0 <= value <= 1.0:
            raise ConfigError(f"labels.table.{key}: {value} is no probability: use a label from 0 to 1, or null")
    named = table.action_weight or settings.action_weights
    unknown = sorted(set(named) - set(actions))
    if unknown:
        raise ConfigError(f"labels: unknown action {unknown[0]!r}: the project's actions are {', '.join(actions)}")
    weights = tuple(float("nan") if a in negative_actions else float(named.get(a, 0.0)) for a in actions)
    return LabelRule(table, weights, settings.local_label_weight, settings.request_balance)


def label_request(
    rule: LabelRule,
    request_id: str,
    stage: np.ndarray,
    explored: np.ndarray,
    actions: np.ndarray,
    local: np.ndarray,
    teacher: np.ndarray,
    teacher_rate: float = math.nan,
) -> Labels:
    """Labels of the n candidates of one request.

    stage int8[n] · explored bool[n] · actions float32[n, A] (1 = done) · local float32[n] (1 where pin and user share
    a locale, NaN unknown) · teacher float32[n] (the full ranker's utility, NaN where it did not score) · teacher_rate
    (the chance that one which only the walk chose has a teacher's score; NaN where none has).

    An action counts wherever the candidate stopped (a replayed log has no impressions); a negative action wins over a
    positive one. A candidate shown by exploration passed no ranker, so without an action it is never a positive.
    Unimpressed candidates are sampled uniformly, `unimpressed_per_request` of them, each weighted by the inverse of
    its rate; the sample depends on the request id alone, so any process draws the same. All weights are divided by
    (number of acted candidates)^`request_balance`: metrics are means over requests, and so is the loss.
    """
    table = rule.table
    weights = np.asarray(rule.weights, np.float32)
    negative = np.isnan(weights)
    worth = (actions * np.where(negative, 0.0, weights)).max(axis=1, initial=0.0)
    disliked = (actions[:, negative] > 0).any(axis=1)
    shown = stage >= IMPRESSED
    kind = np.select([disliked, worth > 0, shown], [NEGATIVE, ACTION, SEEN], UNSEEN).astype(np.int8)
    if table.distillation:
        return _distil(rule, request_id, kind, local, teacher, np.where(stage == WALKED, teacher_rate, 1.0))

    seen = kind == SEEN
    accident = seen & explored
    seen_label, unseen_label = table.impressed_no_action_label, table.unimpressed_label
    not_seen_good = [v for v in (seen_label, unseen_label) if v is not None]
    label = np.where(kind == ACTION, 1.0, 0.0)
    label[seen] = seen_label or 0.0
    label[accident] = min(not_seen_good, default=0.0)
    label[kind == UNSEEN] = unseen_label or 0.0
    weight = np.where(kind == ACTION, worth, 1.0)
    weight[seen] = table.impressed_no_action_weight
    if seen_label is not None and seen_label > 0:
        weight[accident] = table.unimpressed_weight if unseen_label is not None else table.impressed_no_action_weight
    kept = (kind == ACTION) | (kind == NEGATIVE)
    kept |= seen if seen_label is not None else accident & bool(not_seen_good)

    # A local pin gets a further positive example in proportion, written as one soft label: y' = (y w + l) / (w + l).
    extra = np.where(local == 1.0, rule.local_label_weight, 0.0)
    extra = np.where(kind == ACTION, extra, extra * weight)
    extra[disliked] = 0.0
    unseen = kind == UNSEEN
    extra[unseen] *= table.unimpressed_weight
    weight[unseen] = table.unimpressed_weight
    total = weight + extra
    label = np.divide(label * weight + extra, total, out=label.copy(), where=total > 0)
    if unseen_label is not None and _unseen_means_worse(table, kind, teacher):
        picked, rate = sample(np.flatnonzero(unseen), table.unimpressed_per_request, request_id)
        kept[picked] = True
        total[picked] /= rate
    kept &= total > 0
    total /= max(int((kind == ACTION).sum()), 1) ** rule.request_balance
    return Labels(label.astype(np.float32), np.where(kept, total, 0.0).astype(np.float32), kept, kind)


def _unseen_means_worse(table: StrategyTable, kind: np.ndarray, teacher: np.ndarray) -> bool:
    """Whether the unimpressed of this request are negatives.

    Not where the answer was in visit-count order and its own unacted impressions are negatives already: there,
    unimpressed only says "fewer visits", and the model would learn the order it is to replace. They are where the full
    ranker passed them over, where a strategy asks for nothing but the funnel's verdict, and in replayed history, which
    showed nothing.
    """
    in_visit_order = not np.isfinite(teacher).any() and bool((kind == SEEN).any())
    return not (in_visit_order and table.impressed_no_action_label == 0.0)


def _distil(
    rule: LabelRule, request_id: str, kind: np.ndarray, local: np.ndarray, teacher: np.ndarray, rate_of: np.ndarray
) -> Labels:
    """Every candidate counts by the inverse of its chance to be here: to have a score, and to be drawn."""
    scored = np.isfinite(teacher)
    kept = scored & (kind != UNSEEN)
    picked, rate = sample(np.flatnonzero(scored & (kind == UNSEEN)), rule.table.unimpressed_per_request, request_id)
    kept[picked] = True
    weight = kept.astype(np.float32)
    weight[picked] /= rate
    known = kept & (rate_of > 0)
    weight[known] /= rate_of[known]
    label = np.where(scored, teacher, 0.0) + np.where(local == 1.0, rule.local_label_weight, 0.0)
    return Labels(label.astype(np.float32), weight, kept, kind)


def sample(rows: np.ndarray, most: int, request_id: str) -> tuple[np.ndarray, float]:
    """At most `most` of `rows`, uniformly and without replacement, and the rate they were drawn at."""
    if len(rows) <= most:
        return rows, 1.0
    seed = int(hash_ids([request_id])[0])
    picked = np.random.default_rng(seed).choice(len(rows), most, replace=False, shuffle=False)
    return rows[np.sort(picked)], most / len(rows)
