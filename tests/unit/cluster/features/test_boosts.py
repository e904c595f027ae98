"""Legacy boosts on the visit count."""

import numpy as np
import pytest

from cluster.errors import ConfigError
from cluster.features.boosts import boosted_visits
from cluster.settings.clients import BoostRule


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
