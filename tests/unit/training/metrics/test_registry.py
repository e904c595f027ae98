"""Every registered metric: named once, explained, taken from a case, and unknown where its needs are not met."""

from dataclasses import fields, replace

import numpy as np
import pytest

from training.metrics.by_action import figures_by_action
from training.metrics.cases import Answered, OrderedRequest, Predictions
from training.metrics.metric import Cuts, Metric, figures
from training.metrics.ranking import order_by
from training.metrics.registry import ANSWERS, ECE, ORDERS, PREDICTIONS

CUTS: Cuts = {"head": (10,), "answer": (5,), "survivors": (30, 60)}
SCORE = np.random.default_rng(0).permutation(200).astype(np.float32)
ORDERED = OrderedRequest(
    score=SCORE,
    order=order_by(SCORE),
    gain=(SCORE > 150) * 1.0,
    shown=SCORE >= 100,
    impressed=SCORE >= 100,
    local=SCORE % 2 == 1,
    stands_for=np.ones(200),
    teacher=SCORE.copy(),
)
ANSWERED = Answered(np.array([True, False, True]), 4)
PREDICTED = Predictions(
    label=np.array([1.0, 0, 0, 1]),
    weight=np.ones(4),
    probability=np.array([0.9, 0.2, 0.4, 0.7]),
    request=np.array([0, 0, 1, 1]),
)
KINDS = ((ORDERS, ORDERED), (ANSWERS, ANSWERED), (PREDICTIONS, PREDICTED))


@pytest.mark.parametrize(("metrics", "case"), KINDS)
def test_entries_are_complete(metrics: tuple[Metric, ...], case: object) -> None:
    names = [metric.name for metric in metrics]
    assert len(set(names)) == len(names)
    known = {field.name for field in fields(case)}  # type: ignore[arg-type]
    for metric in metrics:
        assert metric.meaning
        assert metric.needs
        assert set(metric.needs) <= known
    found = figures(metrics, case, CUTS)
    finite = {name for name, value in found.items() if np.isfinite(value)}
    assert set(found) - finite == ({"teacher_top100@30", "teacher_top100@60"} if metrics is ORDERS else set())


def test_the_figures_of_a_perfect_order() -> None:
    found = figures(ORDERS, ORDERED, CUTS)
    assert list(found)[:5] == ["ndcg@10", "auc", "local_share@5", "action_recall@30", "impressed_share@30"]
    assert found["ndcg@10"] == found["auc"] == found["teacher_top25@30"] == 1.0
    assert found["local_share@5"] == 0.6
    assert found["action_recall@30"] == pytest.approx(30 / 49)


def test_a_metric_without_what_it_needs_is_unknown() -> None:
    without = figures(ORDERS, replace(ORDERED, teacher=None), CUTS)
    assert np.isnan(without["teacher_top25@30"])
    assert without["ndcg@10"] == 1.0
    assert np.isnan(ECE.of(replace(PREDICTED, probability=None)))


def test_a_new_entry_is_taken_like_the_others() -> None:
    worst = Metric("worst", "score of the last one", ("order",), lambda case, k: float(case.score[case.order[-1]]))
    assert figures((*ORDERS, worst), ORDERED, CUTS)["worst"] == 0.0


def test_figures_by_action_leave_unknown_labels_out_and_split_by_client() -> None:
    both = np.stack([PREDICTED.probability, PREDICTED.probability], axis=1)  # type: ignore[list-item]
    labels = np.stack([PREDICTED.label, 1 - PREDICTED.label], axis=1)
    weights = np.ones((4, 2))
    weights[1, 0] = 0.0
    out = figures_by_action(
        both, labels, weights, np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1]), ("save", "hide"), ("homefeed", "ads")
    )
    assert list(out["save"]) == ["auc", "log_loss", "ndcg@20", "ece", "ece_by_client", "positives"]
    assert out["save"]["auc"] == 1.0
    assert out["hide"]["auc"] == 0.0
    assert out["save"]["positives"] == 2
    assert isinstance(out["save"]["positives"], int)
    assert set(out["save"]["ece_by_client"]) == {"homefeed"}
    assert out["save"]["ece_by_client"]["homefeed"] == pytest.approx((0.1 + 0.3) / 2)
