"""Labels by a table: each example class has a label and a weight (`StrategyTable`). Pure NumPy.

The table of Pinterest's lightweight ranking post (2020); docs/strategies.md explains each entry.
"""

import numpy as np

from cluster.settings.clients import StrategyTable
from training.lightweight.strategies.strategy import (
    ACTION,
    NEGATIVE,
    SEEN,
    UNSEEN,
    LabelRule,
    Labels,
    LoggedCandidates,
    Strategy,
    sample,
    worth,
)


def label_by_table(rule: LabelRule, of: LoggedCandidates, kind: np.ndarray) -> Labels:
    """Labels by `rule.table`; `kind` int8[n], the example classes.

    A candidate shown by exploration passed no ranker, so without an action it is never a positive. Unimpressed
    candidates are sampled uniformly, `unimpressed_per_request` of them, each weighted by the inverse of its rate. All
    weights are divided by (number of acted candidates)^`request_balance`: metrics are means over requests, and so is
    the loss. A candidate's relevance to a ranking objective is its label times its weight in the table.
    """
    table = rule.table
    label, weight, kept = _by_class(table, kind, of.explored, worth(rule, of))
    label, weight = _with_local(rule, kind, of.local, label, weight)
    relevance = label * weight  # before rates and balance, which say how often an example counts and not how much
    if table.unimpressed_label is not None and _unseen_means_worse(table, kind, of):
        picked, rate = sample(np.flatnonzero(kind == UNSEEN), table.unimpressed_per_request, of.request_id)
        kept[picked] = True
        weight[picked] /= rate * of.kept_rate
    kept &= weight > 0
    weight /= max(int((kind == ACTION).sum()), 1) ** rule.request_balance
    weight = np.where(kept, weight, 0.0).astype(np.float32)
    return Labels(label.astype(np.float32), weight, kept, kind, relevance.astype(np.float32))


def _by_class(
    table: StrategyTable, kind: np.ndarray, explored: np.ndarray, worth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label, weight and whether it is kept, of each candidate; which unimpressed ones are kept is not said yet."""
    seen = kind == SEEN
    unseen = kind == UNSEEN
    accident = seen & explored
    seen_label = table.impressed_no_action_label
    unseen_label = table.unimpressed_label
    not_good = [value for value in (seen_label, unseen_label) if value is not None]

    label = np.where(kind == ACTION, 1.0, 0.0)
    label[seen] = seen_label or 0.0
    label[accident] = min(not_good, default=0.0)
    label[unseen] = unseen_label or 0.0

    weight = np.where(kind == ACTION, worth, 1.0)
    weight[seen] = table.impressed_no_action_weight
    if seen_label is not None and seen_label > 0:
        weight[accident] = table.unimpressed_weight if unseen_label is not None else table.impressed_no_action_weight
    weight[unseen] = table.unimpressed_weight

    kept = (kind == ACTION) | (kind == NEGATIVE)
    kept |= seen if seen_label is not None else accident & bool(not_good)
    return label, weight, kept


def _with_local(
    rule: LabelRule, kind: np.ndarray, local: np.ndarray, label: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Label and weight where a local pin gets a further positive example in proportion, `l` of its weight.

    The two examples are written as one soft label, which has the same gradient: y' = (y w + l) / (w + l). A disliked
    pin gets none.
    """
    extra = np.where(local == 1.0, rule.local_label_weight, 0.0)
    extra[kind == SEEN] *= weight[kind == SEEN]
    extra[kind == UNSEEN] *= rule.table.unimpressed_weight
    extra[kind == NEGATIVE] = 0.0
    total = weight + extra
    return np.divide(label * weight + extra, total, out=label.copy(), where=total > 0), total


def _unseen_means_worse(table: StrategyTable, kind: np.ndarray, of: LoggedCandidates) -> bool:
    """Whether the unimpressed of this request are negatives.

    Not where the answer was in visit-count order and its own unacted impressions are negatives already: there,
    unimpressed only says "fewer visits", and the model would learn the order it is to replace. They are where the full
    ranker passed them over, where a strategy asks for nothing but the funnel's verdict, and in replayed history, which
    showed nothing: what has the look of an impression there is an action that weighs nothing.
    """
    in_visit_order = of.live and not np.isfinite(of.teacher).any() and bool((kind == SEEN).any())
    return not (in_visit_order and table.impressed_no_action_label == 0.0)


def custom(table: StrategyTable) -> Strategy:
    """The strategy of a table that a client writes out."""
    return Strategy("custom", "a table of the client's own", table, label_by_table)
