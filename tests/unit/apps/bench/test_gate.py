"""The bench of the gate: which order each way to decide would have served."""

from typing import Any

import numpy as np

from apps.bench.learning.gate import ARMS, judged
from apps.world.traffic import Traffic
from cluster.settings.project import DEFAULT_ACTIONS


def difference(mean: float, width: float = 0.05, n: int = 50) -> dict[str, Any]:
    return {"mean": mean, "low": mean - width, "high": mean + width, "n": n}


def test_a_client_is_served_by_what_each_comparison_lets_through() -> None:
    traffic = Traffic.empty(("homefeed", "ads"), ARMS, DEFAULT_ACTIONS, np.arange(3))
    traffic.shown[:] = 100
    traffic.expected[:, 2, :, DEFAULT_ACTIONS.index("save")] = 5.0
    differences = {
        "without_full": {"all": difference(0.01), "homefeed": difference(0.03), "ads": difference(-0.10)},
        "visit_count": {"all": difference(0.05), "homefeed": difference(0.09), "ads": difference(-0.01)},
    }
    found = judged(differences, traffic)
    assert found["ads"]["serves"] == {"gate against without_full": "lightweight", "gate against visit_count": "full"}
    assert set(found["homefeed"]["serves"].values()) == {"full"}
    assert found["homefeed"]["true_utility"]["full"] > 0 == found["homefeed"]["true_utility"]["lightweight"]
    few = {**differences, "without_full": {**differences["without_full"], "ads": difference(-0.10, n=5)}}
    assert judged(few, traffic)["ads"]["serves"]["gate against without_full"] == "full"
    refused = {**differences, "visit_count": {**differences["visit_count"], "all": difference(-0.03)}}
    assert judged(refused, traffic)["homefeed"]["serves"]["gate against visit_count"] == "lightweight"
