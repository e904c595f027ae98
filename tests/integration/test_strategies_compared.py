"""The comparison of strategies, small: every arm is served over the API from one state, with models of its own."""

from pathlib import Path

import numpy as np

from apps.bench.learning.arms import Size
from apps.bench.learning.strategies import BASELINES, STRATEGIES, one_seed


def test_every_strategy_is_trained_judged_and_served(tmp_path: Path, ray_session: None) -> None:
    size = Size(pins=1500, boards=400, users=150, cold=220, warm=140, measured=25)
    compared, traffic, seen = one_seed(5, size, tmp_path / "world")
    arms = (*BASELINES, *STRATEGIES)
    assert traffic.arms == arms
    assert set(seen) == set(arms)
    np.testing.assert_array_equal(traffic.requests, np.repeat(traffic.requests[:, :1], len(arms), axis=1))  # paired
    report = compared.reports["homefeed"]
    assert list(report.orders)[:2] == list(BASELINES)
    trained = {name for name in STRATEGIES if "homefeed" in compared.models[name]}
    assert trained == set(STRATEGIES), compared.refused
    assert set(report.orders) == {*BASELINES, *STRATEGIES}
    assert report.orders["visit_count"]["teacher_top25@250"].n  # the teacher scored dropped candidates
    rows = compared.counts
    assert not rows["engagement"]["homefeed"]["train"].get("unimpressed", 0)
    assert rows["funnel_pure"]["homefeed"]["train"]["unimpressed"] > 0
    for arm in arms:
        assert 0 <= seen[arm]["homefeed"]["local_share"] <= 1
    assert seen["boost"]["homefeed"]["local_share"] > seen["visit_count"]["homefeed"]["local_share"] - 0.05
