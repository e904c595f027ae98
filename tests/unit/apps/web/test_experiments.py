"""The experiments view: what is listed, counted and reported, and what stands there when there is no report."""

from pathlib import Path

import pytest

from apps.web.experiments import list_experiments, one_experiment
from cluster.experiments.register import Register
from cluster.store.home import control_root
from tests.worlds.experiments import TrialWorld, experiment_of, trial_of, trial_world
from training.experiments.kept import keep_report
from training.experiments.run import run_report


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TrialWorld:
    made = trial_world(tmp_path_factory.mktemp("trial"), experiment_of(), users=80, days=3)
    register = register_of(made)
    register.start(made.experiment)
    register.start(experiment_of("ended", clients=("search",)))
    register.stop("ended")
    return made


def register_of(world: TrialWorld) -> Register:
    return Register(control_root(world.project.home, world.project.control))


def test_what_runs_comes_first_with_the_newest_exposures(world: TrialWorld) -> None:
    more, ended = list_experiments(world.project, world.logs)
    assert (more.name, more.known.state, ended.name, ended.known.state) == ("more", "runs", "ended", "stopped")
    report = run_report(world.project, world.logs, trial_of(world))
    counted = {arm.name: arm.requests for arm in more.arms}
    for arm in report.arms:
        assert 0 < (counted[arm.name] or 0) < arm.requests, "the newest two of three days"
    assert more.arms[1].sets == (("sizes.explore", "1"),)
    assert [arm.requests for arm in ended.arms] == [0, 0]
    assert ended.last is None


def test_a_small_log_is_reported_anew(world: TrialWorld) -> None:
    page = one_experiment(world.project, world.logs, "more")
    assert page.report is not None
    assert (page.made, page.why) == ("now", "")
    assert page.report["arms"]["control"]["users"] > 20
    nothing = one_experiment(world.project, world.logs, "ended")
    assert nothing.report is None
    assert "has no requests of search" in nothing.why
    with pytest.raises(KeyError):
        one_experiment(world.project, world.logs, "mroe")


def test_of_a_large_log_the_last_report_is_shown(world: TrialWorld, tmp_path: Path) -> None:
    before = one_experiment(world.project, world.logs, "more", few_rows=10)
    assert before.report is None
    assert "run pinfunnel experiment report more" in before.why
    told = keep_report(world.project, run_report(world.project, world.logs, trial_of(world)))
    after = one_experiment(world.project, world.logs, "more", few_rows=10)
    assert after.report == told
    assert after.made == told["made"]
    kept = Path(world.project.local_home) / "reports" / "experiment-more.json"
    kept.write_text("{half")
    assert one_experiment(world.project, world.logs, "more", few_rows=10).report is None


def test_nothing_started_lists_nothing(tmp_path: Path) -> None:
    made = trial_world(tmp_path, experiment_of(), users=20, days=1)
    assert list_experiments(made.project, made.logs) == ()
