"""Every figure of merit that reports show, one entry each: JSON, console tables, HTML pages and plots read them here.

Adding a metric is adding an entry to the tuple of its kind (docs/extend/metric.md). Arrays in, numbers out.
"""

from functools import partial

import numpy as np

from training.metrics.cases import Answered, OrderedRequest, Predictions
from training.metrics.metric import Metric
from training.metrics.probability import auc, expected_calibration_error, log_loss
from training.metrics.ranking import mean_ndcg, ndcg, order_by, recall
from training.metrics.sampled import ndcg_of_sample


def _ndcg_of_shown(case: OrderedRequest, k: int) -> float:
    rows = case.order[case.shown[case.order]]
    return ndcg_of_sample(case.gain[rows], case.stands_for[rows], k)


def _auc_of_shown(case: OrderedRequest, k: int) -> float:
    return auc(case.score[case.shown], case.gain[case.shown] > 0)


def _local_share(case: OrderedRequest, k: int) -> float:
    return float(case.local[case.order[:k]].mean())


def _action_recall(case: OrderedRequest, k: int) -> float:
    return recall(case.gain[case.order] > 0, k)


def _impressed_share(case: OrderedRequest, k: int) -> float:
    return float(case.impressed[case.order[:k]].mean())


def _teacher_top(top: int, case: OrderedRequest, k: int) -> float:
    assert case.teacher is not None
    scored = np.flatnonzero(np.isfinite(case.teacher))
    if top >= k or len(scored) <= top:  # a cut inside the top, or a top of everything, says nothing
        return float("nan")
    best = scored[order_by(case.teacher[scored])[:top]]
    return float(np.isin(best, case.order[:k]).mean())


ORDERS = (
    Metric(
        "ndcg",
        "order of the shown pins by what users did with them",
        ("gain", "shown", "stands_for"),
        _ndcg_of_shown,
        cut="head",
        plotted=True,
    ),
    Metric(
        "auc",
        "chance that a pin with an action stands before one without",
        ("gain", "shown"),
        _auc_of_shown,
    ),
    Metric(
        "local_share",
        "share of pins in the user's locale among the best",
        ("local",),
        _local_share,
        cut="answer",
        plotted=True,
    ),
    Metric(
        "action_recall",
        "share of pins with an action that survive the cut",
        ("gain",),
        _action_recall,
        cut="survivors",
        plotted=True,
    ),
    Metric(
        "impressed_share",
        "share of the survivors of the cut that were shown",
        ("impressed",),
        _impressed_share,
        cut="survivors",
    ),
    Metric(
        "teacher_top25",
        "share of the full ranker's best 25 that survive the cut: funnel efficiency",
        ("teacher",),
        partial(_teacher_top, 25),
        cut="survivors",
        plotted=True,
    ),
    Metric(
        "teacher_top100",
        "the same of its best 100",
        ("teacher",),
        partial(_teacher_top, 100),
        cut="survivors",
    ),
)
"""Of one `OrderedRequest`; reports show means over requests with intervals."""


def _recall_of_answer(case: Answered, k: int) -> float:
    return recall(case.hit, k, case.wanted)


def _ndcg_of_answer(case: Answered, k: int) -> float:
    return ndcg(case.hit, k, np.ones(case.wanted))


ANSWERS = (
    Metric(
        "recall",
        "share of the wanted pins among the first k",
        ("hit", "wanted"),
        _recall_of_answer,
        cut="survivors",
    ),
    Metric(
        "ndcg",
        "the same, and the earlier the better; 1 when the first min(k, wanted) are all wanted",
        ("hit", "wanted"),
        _ndcg_of_answer,
        cut="head",
    ),
)
"""Of one `Answered`; reports show means over requests or boards."""


def _auc_of_predictions(case: Predictions, k: int) -> float:
    assert case.probability is not None
    return auc(case.probability, case.label, case.weight)


def _log_loss(case: Predictions, k: int) -> float:
    assert case.probability is not None
    return log_loss(case.probability, case.label, case.weight)


def _ndcg_of_predictions(case: Predictions, k: int) -> float:
    assert case.probability is not None
    assert case.request is not None
    return mean_ndcg(case.probability, case.label, case.request, k)


def _calibration_error(case: Predictions, k: int) -> float:
    assert case.probability is not None
    return expected_calibration_error(case.probability, case.label, case.weight)


def _positives(case: Predictions, k: int) -> float:
    return int(case.label.sum())


ECE = Metric(
    "ece",
    "expected calibration error: how far predicted and observed rates lie apart",
    ("probability", "label"),
    _calibration_error,
    by_client=True,
)

PREDICTIONS = (
    Metric(
        "auc",
        "chance that a candidate with the action outscores one without",
        ("probability", "label"),
        _auc_of_predictions,
    ),
    Metric(
        "log_loss",
        "mean cross-entropy in nats",
        ("probability", "label"),
        _log_loss,
    ),
    Metric(
        "ndcg",
        "order of a request's candidates by the action's probability",
        ("probability", "label", "request"),
        _ndcg_of_predictions,
        cut="head",
    ),
    ECE,
    Metric(
        "positives",
        "candidates with the action",
        ("label",),
        _positives,
    ),
)
"""Of the `Predictions` of one action."""
