"""Metrics against scikit-learn and by hand; intervals against a known distribution; the gate's decisions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from cluster.errors import ConfigError
from cluster.features.boosts import boosted_visits
from cluster.settings.clients import BoostRule
from training.judge.gate import Gate, decide
from training.metrics.ranking import Interval, auc, bootstrap, bootstrap_columns, ndcg_of_request, order_by, recall_at


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), k=st.integers(1, 30))
def test_auc_and_ndcg_agree_with_scikit_learn(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    score, gain = rng.permutation(n).astype(np.float32), rng.integers(0, 3, n).astype(float)
    if gain.any():
        assert ndcg_of_request(score, gain, k) == pytest.approx(ndcg_score([gain], [score], k=k))
    else:
        assert np.isnan(ndcg_of_request(score, gain, k))
    tied = (score // 3).astype(np.float32)
    if 0 < (gain > 0).sum() < n:
        assert auc(tied, gain > 0) == pytest.approx(roc_auc_score(gain > 0, tied))


def test_recall_and_ties() -> None:
    score = np.array([1.0, 3.0, np.nan, 3.0])
    assert order_by(score).tolist() == [1, 3, 0, 2]
    assert recall_at(score, np.array([True, False, False, True]), 2) == 0.5
    assert np.isnan(recall_at(score, np.zeros(4, bool), 2))


def test_the_bootstrap_covers_the_mean_and_ignores_nan() -> None:
    values = np.append(np.random.default_rng(1).normal(0.3, 1.0, 400), [np.nan] * 5)
    interval = bootstrap(values)
    assert interval.n == 400
    assert interval.low < 0.3 < interval.high
    half = 1.96 * np.nanstd(values) / 20
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.15)
    both = bootstrap_columns(np.stack([values, values + 1], axis=1))
    assert both[0].low == pytest.approx(interval.low)
    assert both[1].low == pytest.approx(interval.low + 1)
    assert bootstrap(np.array([])).n == 0
    assert bootstrap(np.array([])).to_dict()["mean"] is None


def test_boost_multiplies_where_the_rule_matches() -> None:
    candidates = np.array([[1, 0.2], [0, 0.9], [np.nan, 0.9]], np.float32)
    names = ("cross_locale_match", "freshness")
    rules = (
        BoostRule(feature="cross_locale_match", factor=2.0),
        BoostRule(feature="freshness", factor=3.0, at_least=0.8),
    )
    assert boosted_visits(np.array([10.0, 10, 10]), candidates, names, rules).tolist() == [20, 30, 30]
    with pytest.raises(ConfigError, match="nothing"):
        boosted_visits(np.ones(3), candidates, names, (BoostRule(feature="nothing", factor=2.0),))


@pytest.mark.parametrize(
    ("difference", "publish", "why"),
    [
        (Interval(0.1, 0.05, 0.15, 50), True, "published"),
        (Interval(-0.005, -0.02, 0.01, 50), True, "published"),  # not shown to be worse
        (Interval(-0.01, -0.015, -0.005, 50), False, "worse"),  # surely a little worse
        (Interval(-0.05, -0.2, 0.1, 50), False, "worse"),  # unsure, but too much
        (Interval(0.5, 0.4, 0.6, 3), False, "only 3"),
    ],
)
def test_the_gate_compares_with_the_incumbent(difference: Interval, publish: bool, why: str) -> None:
    decision = decide(difference, "visit count", finite=True, constant=False)
    assert decision.publish is publish
    assert why in decision.reason


def test_the_gate_refuses_broken_models() -> None:
    good = Interval(0.1, 0.05, 0.15, 50)
    assert "finite" in decide(good, "x", finite=False, constant=False).reason
    assert "same score" in decide(good, "x", finite=True, constant=True).reason
    assert decide(Interval(0.1, 0.05, 0.15, 3), "x", True, False, Gate(min_requests=3)).publish


def test_weighted_requests_count_as_if_there_were_more_of_them() -> None:
    values = np.array([0.2, np.nan, -0.1, 0.4])
    weighted = bootstrap(values, np.array([2.0, 5.0, 1.0, 1.0]))
    assert weighted.n == 3
    assert weighted.mean == pytest.approx((2 * 0.2 - 0.1 + 0.4) / 4)
    assert weighted.low < weighted.mean < weighted.high
    equal, plain = bootstrap(values, np.full(4, 7.0)), bootstrap(values)
    assert [equal.mean, equal.low, equal.high] == pytest.approx([plain.mean, plain.low, plain.high])
