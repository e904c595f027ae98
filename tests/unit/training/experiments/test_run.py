"""An experiment's report from its logs against the same counted user by user."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import DataError
from cluster.store.replays import REPLAYED
from tests.worlds.experiments import BEGIN, SHOWN, TrialWorld, experiment_of, trial_of, trial_world
from training.experiments.confidence import Confidence
from training.experiments.lifts import UnitRatio, lift_of
from training.experiments.plan import plan_power
from training.experiments.report import TrialReport, as_json
from training.experiments.run import run_report
from training.experiments.unit_moments import UnitMoments
from training.experiments.verdict import conclusions


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TrialWorld:
    return trial_world(tmp_path_factory.mktemp("trial"), experiment_of(traffic=0.9))


def by_hand(world: TrialWorld) -> list[UnitMoments]:
    """Of control and treatment: saves, pins, and the three columns of the past that are not constant."""
    rows: dict[str, list[list[float]]] = {name: [] for name in world.experiment.arms}
    for user, arm in world.arms.items():
        rows[arm].append([world.saves[user], world.shown[user], world.before[user]])
    return [UnitMoments.of(np.array(found)) for found in rows.values()]


def row_of(report: TrialReport, figure: str) -> tuple[object, object]:
    found = next(row for row in report.lifts if row.figure == figure)
    return found.plain, found.cuped


def test_lifts_are_those_of_users_counted_one_by_one(world: TrialWorld) -> None:
    report = run_report(world.project, world.logs, trial_of(world))
    control, treatment = by_hand(world)
    assert [(arm.units, arm.shown) for arm in report.arms] == [(m.n, m.total[1]) for m in (control, treatment)]
    for figure, bottom in (("save per user", None), ("save per shown pin", 1)):
        known = lift_of(control, treatment, UnitRatio(figure, 0, bottom), Confidence("sequential"))
        plain, cuped = row_of(report, figure)
        assert plain.to_dict() == pytest.approx(known.to_dict())  # type: ignore[attr-defined]
        assert cuped.explained > 0.1  # type: ignore[attr-defined]
    assert not report.sample_ratio.failed
    assert report.withheld == ""
    [said] = conclusions(report)
    assert said.word == "better", said.text
    assert 3 < report.days < 4
    told = as_json(report)
    assert told["arms"]["control"]["users"] == control.n
    assert told["verdicts"][0]["word"] == "better"


def test_a_guardrail_that_falls_is_seen(world: TrialWorld) -> None:
    """The other way round the treatment saves less: a guardrail of saves is hurt, and the verdict says so."""
    arms = dict(reversed(world.experiment.shares.items()))
    report = run_report(world.project, world.logs, trial_of(world, arms=arms, action="click"))
    hurt = {guard.figure: guard.harmed for guard in report.guards}
    assert hurt == {"hide per user": False, "save per user": True, "milliseconds": False, "degraded answers": False}
    [said] = conclusions(report)
    assert said.word == "harmful"
    assert "save per user is worse beyond doubt" in said.text


def test_a_fixed_horizon_is_read_once(world: TrialWorld) -> None:
    early = run_report(world.project, world.logs, trial_of(world, horizon="fixed", days=14.0))
    assert "of 14 days have passed" in early.withheld
    assert conclusions(early)[0].word == "withheld"
    over = run_report(world.project, world.logs, trial_of(world, horizon="fixed", days=2.0))
    assert (over.withheld, over.days) == ("", 2.0)
    assert sum(arm.requests for arm in over.arms) < sum(arm.requests for arm in early.arms)


def test_since_cuts_requests_and_cuped(world: TrialWorld) -> None:
    report = run_report(world.project, world.logs, trial_of(world), since=BEGIN + timedelta(days=2))
    assert all(row.cuped is None for row in report.lifts)
    assert any("no CUPED" in note for note in report.notes)
    assert sum(arm.requests for arm in report.arms) < 0.6 * len(world.arms) * 4


def test_wrong_shares_withhold_the_verdict(world: TrialWorld) -> None:
    report = run_report(world.project, world.logs, trial_of(world, arms={"control": 3.0, "treatment": 1.0}))
    assert report.sample_ratio.failed
    assert conclusions(report)[0].text.startswith("no verdict: the arms' users are not in the shares")


def test_what_cannot_be_reported_is_one_line(world: TrialWorld, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no request of homefeed was exposed to it .* exposed to: more"):
        run_report(world.project, world.logs, trial_of(world, name="mroe"))
    with pytest.raises(DataError, match="no requests of search"):
        run_report(world.project, world.logs, trial_of(world, clients=("search",)))
    silent = run_report(world.project, world.logs, trial_of(world, arms={"control": 1, "treatment": 1, "third": 1}))
    assert "no users were seen in arm third" in silent.withheld or silent.sample_ratio.failed
    gone = run_report(world.project, world.logs, trial_of(world, arms={"control": 1, "other": 1}))
    assert any("arms that the definition does not have (treatment)" in note for note in gone.notes)
    old = trial_world(tmp_path, experiment_of(), users=20, days=1)
    for path in old.logs.serving_files().paths:
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.drop_columns(["exposure", "milliseconds", "team"]), path)
    with pytest.raises(DataError, match="no column `exposure`"):
        run_report(old.project, old.logs, trial_of(old))


def test_a_mixed_log_reports_what_it_has(tmp_path: Path) -> None:
    mixed = trial_world(tmp_path, experiment_of(), users=60, days=3)
    first = mixed.logs.serving_files().paths[0]
    table = pq.read_table(first, partitioning=None)
    pq.write_table(table.drop_columns(["exposure", "milliseconds", "team"]), first)
    report = run_report(mixed.project, mixed.logs, trial_of(mixed))
    assert any("were logged before there were experiments" in note for note in report.notes)
    assert sum(arm.requests for arm in report.arms) > 0


def test_a_user_of_two_arms_is_named_and_left_out(tmp_path: Path) -> None:
    first = trial_world(tmp_path, experiment_of(), users=200, days=1)
    other = trial_world(tmp_path, experiment_of(salt="another"), users=200, days=1, seed=1)
    report = run_report(first.project, first.logs, trial_of(first))
    moved = {user for user, arm in first.arms.items() if other.arms.get(user, arm) != arm}
    assert report.in_two == len(moved) > 20
    assert {int(name) for name in report.examples} <= moved
    assert any("were seen in two arms and count in none" in note for note in report.notes)
    assert sum(arm.units for arm in report.arms) == len({*first.arms, *other.arms} - moved)


def test_interleaving_credits_teams(tmp_path: Path) -> None:
    arms = {"control": {}, "treatment": {"set": {"policy.diversity": 0.2}}}
    drafted = trial_world(tmp_path, experiment_of(design="interleaving", arms=arms), effect=0.8)
    report = run_report(drafted.project, drafted.logs, trial_of(drafted))
    row = next(row for row in report.drafts if row.action == "save")
    assert row.shown[0] == row.shown[1] == sum(drafted.shown.values()) / 2
    assert row.preference.lift.control + row.preference.lift.treatment == pytest.approx(
        sum(drafted.saves.values()) / len(drafted.arms)
    )
    [said] = conclusions(report)
    assert said.word == "better"
    assert "of save were on its pins" in said.text


def test_switchback_compares_windows(tmp_path: Path) -> None:
    by_time = trial_world(tmp_path, experiment_of(design="switchback", minutes=60), days=5, effect=2.0)
    report = run_report(by_time.project, by_time.logs, trial_of(by_time))
    assert 100 < sum(arm.units for arm in report.arms) <= 5 * 24
    assert {row.figure for row in report.lifts if row.action == "save"} == {"save per request", "save per shown pin"}
    [said] = conclusions(report)
    assert said.word == "better", said.text
    later = run_report(by_time.project, by_time.logs, trial_of(by_time), carry_over=15.0)
    shown = [sum(arm.shown for arm in one.arms) for one in (report, later)]
    assert shown[1] == pytest.approx(0.75 * shown[0], rel=0.1)
    assert shown[0] == SHOWN * sum(arm.requests for arm in report.arms)


def test_power_is_of_all_users_by_day(world: TrialWorld) -> None:
    trial = trial_of(world, traffic=0.5, horizon="fixed", days=4.0)
    plan = plan_power(world.project, world.logs, trial, 4, 0.1, 0.8)
    assert [row.days for row in plan.rows] == [1, 2, 3, 4]
    seen = [row.users for row in plan.rows]
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.5 * 300, rel=0.05)
    assert plan.rows[0].smallest > plan.rows[-1].smallest > plan.rows[-1].smallest_cuped > 0
    assert plan.as_json()["rows"][0]["days"] == 1
    longer = plan_power(world.project, world.logs, trial, 30, 0.1, 0.8)
    assert any("of 30 days" in note for note in longer.notes)


def test_power_needs_users_who_were_answered(tmp_path: Path) -> None:
    replayed = trial_world(tmp_path, experiment_of(), users=20, days=1)
    for path in replayed.logs.serving_files().paths:
        table = pq.read_table(path, partitioning=None)
        at = table.schema.get_field_index("experiment")
        pq.write_table(table.set_column(at, "experiment", pa.array([REPLAYED] * len(table))), path)
    with pytest.raises(DataError, match="replayed history has none"):
        plan_power(replayed.project, replayed.logs, trial_of(replayed), 2, 0.1, 0.8)
