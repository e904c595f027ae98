"""The bench of experiments: its users, what it counts as an alarm, and that a large effect is found at once."""

from pathlib import Path

import numpy as np
import pytest

from apps.bench.learning import experiments
from apps.bench.learning.experiments import ARMS, COLUMNS, DAYS, NAMES, Regulars, alarms, false_alarms, power, reported
from apps.bench.learning.served_experiment import reported_and_counted
from apps.project import open_project
from apps.world.world import World
from cluster.catalog.build import build_catalog


@pytest.fixture(scope="module")
def users() -> Regulars:
    return Regulars.drawn(np.random.default_rng(0), 300)


def test_few_users_do_much(users: Regulars) -> None:
    saves = users.visits * users.saves
    assert users.visits.mean() == pytest.approx(experiments.VISITS_A_DAY)
    assert np.sort(saves)[-30:].sum() > 0.2 * saves.sum(), "the first tenth"


def test_arms_that_differ_are_an_alarm_and_their_share_another(users: Regulars) -> None:
    rng = np.random.default_rng(1)
    units = users.past(rng)
    arm = rng.integers(0, 2, len(units))
    users.come(rng, units, np.where(arm == 1, 3.0, 1.0), DAYS)
    said = alarms(reported(units, arm, "sequential", DAYS))
    assert said["save per user"]
    assert said["save per user (CUPED)"]
    assert not said["guardrail hide per user"]
    assert not said["sample_ratio_failed"]
    lost = arm.astype(bool) & (rng.random(len(arm)) < 0.6)
    assert alarms(reported(units[~lost], arm[~lost], "fixed", DAYS))["sample_ratio_failed"]
    assert list(ARMS) == list(NAMES)
    assert units[:, COLUMNS.at("shown")].sum() == 25 * units[:, COLUMNS.at("requests")].sum()


def test_alarms_are_counted_at_the_end_and_on_any_day(users: Regulars) -> None:
    found = false_alarms(users, 3, np.random.default_rng(2))
    assert set(found) >= {"fixed", "sequential", "sample_ratio_failed"}
    for kind in ("fixed", "sequential"):
        for shares in found[kind].values():
            assert 0 <= shares["at_the_end"] <= shares["on_any_day"] <= 1


def test_power_is_stated_for_the_users_that_it_asks_for(users: Regulars) -> None:
    found = power(users, "fixed", 5, np.random.default_rng(3))
    assert found["stated"] == pytest.approx(0.8, abs=0.001)
    assert found["variation"]["cuped"] < found["variation"]["plain"]
    assert found["users_an_arm"] > 1_000


def test_what_is_served_logged_and_reported_is_what_was_done(tmp_path: Path) -> None:
    """The whole way: assigned by the funnel, logged, joined with events, reported; and counted user by user."""
    world = World.make(5, 800, 200, 80)
    opened = open_project(world.write(tmp_path, {"home": "home", "serving": {"simulation": True}}))
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    told = reported_and_counted(world, opened, 120, 5)
    assert sum(arm["users"] for arm in told["arms"].values()) > 40
    for name, arm in told["arms"].items():
        counted = told["counted"][name]
        assert (arm["users"], arm["requests"]) == (counted["users"], counted["requests"])
        side = "control" if name == "control" else "treatment"
        assert told["save per user"]["plain"][side] == pytest.approx(counted["save per user"])
