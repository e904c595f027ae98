"""A client's `boosts`: the order before there is a model, the walk's own when asked for, gone once a model serves."""

from pathlib import Path

import numpy as np
import pytest

from apps.project import Opened
from cluster.errors import ConfigError
from cluster.settings.clients import BoostRule
from tests.worlds.funnel import ask, opened_world, publish_lightweight, some_user

HOMEFEED = "homefeed"


def boosted(tmp_path: Path, feature: str = "cross_locale_match") -> Opened:
    opened = opened_world(tmp_path)
    rule = BoostRule(feature=feature, factor=1000.0)
    clients = {c: one.model_copy(update={"boosts": (rule,)}) for c, one in opened.clients.items()}
    return Opened(opened.project, clients)


def test_boosts_order_candidates_until_there_is_a_model(tmp_path: Path) -> None:
    opened = boosted(tmp_path)
    process = opened.new_process()
    process.watcher().poll()
    wanted = ask(HOMEFEED, some_user(opened))
    candidates = process.sources.candidates(wanted)
    ranked = process.lightweight.rank(wanted, candidates)
    local = ranked.candidates[:, process.features.candidate.index("cross_locale_match")] == 1.0
    assert 0 < local.sum() < len(local)
    order = np.concatenate([np.flatnonzero(local), np.flatnonzero(~local)])  # within each the walk's own order
    np.testing.assert_array_equal(ranked.survivors, order[: len(ranked.survivors)])
    by_visits = process.lightweight.rank(wanted, candidates, by_visits=True)
    np.testing.assert_array_equal(by_visits.survivors, np.arange(len(by_visits.survivors)))

    publish_lightweight(process.store, process.features, HOMEFEED, "pin_degree")
    process.watcher().poll()
    with_model = process.lightweight.rank(wanted, candidates)
    best = np.argsort(-with_model.scores, kind="stable")[: len(with_model.survivors)]
    np.testing.assert_array_equal(with_model.survivors, best)


def test_a_rule_on_an_unknown_feature_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown feature 'pin_colour'"):
        _ = boosted(tmp_path, "pin_colour").new_process().lightweight
