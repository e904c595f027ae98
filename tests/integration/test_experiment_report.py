"""A log too large for one process: its report and power calculation are those that one process would give."""

import pytest

from tests.worlds.experiments import TrialWorld, experiment_of, trial_of, trial_world
from training.experiments.plan import plan_power
from training.experiments.report import as_json
from training.experiments.run import run_report

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TrialWorld:
    return trial_world(tmp_path_factory.mktemp("trial"), experiment_of(traffic=0.9), users=120)


def test_a_report_by_workers_is_that_of_one_process(world: TrialWorld) -> None:
    told = [as_json(run_report(world.project, world.logs, trial_of(world), local_rows=rows)) for rows in (10**6, 0)]
    assert told[0]["arms"] == told[1]["arms"]
    assert told[0]["arms"]["control"]["users"] > 30
    for here, there in zip(told[0]["lifts"], told[1]["lifts"], strict=True):
        assert there["plain"] == pytest.approx(here["plain"])


def test_power_by_workers_is_that_of_one_process(world: TrialWorld) -> None:
    plans = [plan_power(world.project, world.logs, trial_of(world), 4, 0.1, 0.8, local_rows=n) for n in (10**6, 0)]
    for here, there in zip(plans[0].as_json()["rows"], plans[1].as_json()["rows"], strict=True):
        assert there == pytest.approx(here)
