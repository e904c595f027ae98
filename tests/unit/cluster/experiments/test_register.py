"""Which experiments run: durable, the same in every process, and changed without giving anybody another arm."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import ConfigError
from cluster.experiments.assignment import OUTSIDE, arms_of
from cluster.experiments.definition import Experiment
from cluster.experiments.register import FILE, Register


def experiment(name: str = "e", **changes: Any) -> Experiment:
    whole = {"name": name, "clients": ["homefeed"], "arms": {"control": {}, "treatment": {}}, **changes}
    return Experiment.model_validate(whole)


def names(register: Register) -> list[str]:
    return [each.name for each in register.running()]


def test_what_one_process_starts_all_have_and_after_a_restart_too(tmp_path: Path) -> None:
    one, other = Register(tmp_path), Register(tmp_path)
    assert other.running() == ()
    one.start(experiment(traffic=0.2, arms={"a": {"set": {"policy.diversity": 0.2}}, "b": {"weight": 2.0}}))
    assert other.running() == one.running() == Register(tmp_path).running()
    assert list(other.running()[0].arms) == ["a", "b"]
    assert other.running() is other.running()  # nothing changed
    other.stop("e")
    assert one.running() == ()
    kept = Register(tmp_path).kept()["e"]
    assert not kept.runs
    assert kept.stopped is not None
    assert kept.started <= kept.stopped
    assert one.stop("e").stopped == kept.stopped  # again: nothing


def test_an_experiment_that_nobody_started_cannot_be_stopped(tmp_path: Path) -> None:
    register = Register(tmp_path)
    register.start(experiment("one"))
    with pytest.raises(ConfigError, match="no experiment is called 'two'; running: one"):
        register.stop("two")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arms": {"control": {}, "treatment": {"weight": 2}}}, "arms"),
        ({"arms": {"treatment": {}, "control": {}}}, "arms"),
        ({"arms": {"control": {}, "treatment": {}, "more": {}}}, "arms"),
        ({"arms": {"control": {}, "treatment": {"set": {"policy.diversity": 0.3}}}}, "arms"),
        ({"salt": "other"}, "salt"),
        ({"layer": "other"}, "layer"),
        ({"clients": ["homefeed", "ads"]}, "clients"),
        ({"design": "switchback"}, "design"),
    ],
)
def test_what_would_give_users_another_arm_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    register = Register(tmp_path)
    register.start(experiment())
    with pytest.raises(ConfigError, match=f"e: it runs with other {told}"):
        register.start(experiment(**changes))
    register.stop("e")
    with pytest.raises(ConfigError, match=f"e: it ran with other {told}"):
        register.start(experiment(**changes))
    assert names(register) == []
    register.start(experiment(traffic=0.5, action="click", salt="e", layer="e"))
    assert register.running()[0].traffic == 0.5


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10)), min_size=2, max_size=6))
def test_traffic_moves_and_nobody_who_stays_changes_arm(parts: list[tuple[int, int]]) -> None:
    arms = None
    for start, traffic in parts:
        traffic = min(traffic, 10 - start)
        now = arms_of(experiment(start=start / 10, traffic=traffic / 10), range(200))
        if arms is not None:
            stay = (arms != OUTSIDE) & (now != OUTSIDE)
            assert (arms[stay] == now[stay]).all()
        arms = now


def test_those_of_one_layer_share_nobody(tmp_path: Path) -> None:
    register = Register(tmp_path)
    register.start(experiment("one", layer="l", traffic=0.5))
    with pytest.raises(ConfigError, match=r"two: its part of the layer l, \[0.4, 0.9\), overlaps with \[0.0, 0.5\)"):
        register.start(experiment("two", layer="l", start=0.4, traffic=0.5))
    register.start(experiment("two", layer="l", start=0.5, traffic=0.5))
    with pytest.raises(ConfigError, match="overlaps"):
        register.start(experiment("one", layer="l", traffic=0.6))
    register.stop("two")
    register.start(experiment("one", layer="l", traffic=1.0))
    with pytest.raises(ConfigError, match="overlaps"):
        register.start(experiment("two", layer="l", start=0.5, traffic=0.5))
    assert names(register) == ["one"]


def test_an_experiment_named_like_a_layer_is_in_it(tmp_path: Path) -> None:
    register = Register(tmp_path)
    register.start(experiment("l"))
    with pytest.raises(ConfigError, match="overlaps"):
        register.start(experiment("two", layer="l"))


def set_to(**changes: Any) -> dict[str, Any]:
    return {"control": {}, "treatment": {"set": changes}}


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"salt": "same"}, {"salt": "same"}, "has the same"),
        ({}, {"salt": "one"}, "has the same"),
        ({"arms": set_to(**{"sizes.walk": 900})}, {"arms": set_to(**{"sizes.walk": 800})}, "both set sizes.walk"),
        ({"arms": set_to(sizes={})}, {"arms": set_to(**{"sizes.walk": 800})}, "both set sizes and sizes.walk"),
        ({"arms": set_to(**{"sizes.walk": 800})}, {"arms": set_to(sizes={})}, "both set sizes and sizes.walk"),
        (
            {"arms": {"control": {}, "treatment": {"versions": {"full": "2026"}}}},
            {"arms": {"control": {}, "treatment": {"versions": {"full": "2027"}}}},
            "both pin full",
        ),
        ({"design": "interleaving"}, {"design": "interleaving"}, "two orders, not four"),
    ],
)
def test_those_of_two_layers_do_not_disagree(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], told: str
) -> None:
    register = Register(tmp_path)
    register.start(experiment("one", **first))
    with pytest.raises(ConfigError, match=told):
        register.start(experiment("two", **second))
    if "salt" not in second:  # clients that they do not share, or users that they do not
        register.start(experiment("three", **{**second, "clients": ["ads"]}))
        register.stop("one")
        register.start(experiment("four", **{**first, "layer": "l", "traffic": 0.5}))
        register.start(experiment("five", **{**second, "layer": "l", "start": 0.5, "traffic": 0.5}))


def test_of_two_that_are_started_at_once_one_runs_and_all_agree_which(tmp_path: Path) -> None:
    """Both were checked before either was written: the file has both lines."""
    early, late = Register(tmp_path), Register(tmp_path)
    first, second = experiment("first", layer="l", traffic=0.6), experiment("second", layer="l", traffic=0.6)
    early.start(first)
    lines = (tmp_path / FILE).read_bytes()
    started = json.dumps({"at": "2026-01-01T00:00:00+00:00", "start": second.model_dump(mode="json")})
    (tmp_path / FILE).write_bytes(lines + started.encode() + b"\n")
    for register in (early, late, Register(tmp_path)):
        assert names(register) == ["first"]
        assert "second" not in register.kept()
    early.stop("first")
    assert [names(register) for register in (early, late, Register(tmp_path))] == [[], [], []]


def test_a_damaged_line_costs_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    register = Register(tmp_path)
    register.start(experiment("one"))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"at": "x", "start": {"name": "bad", "traffic": NaN}}\n{"at": 3}\nnonsense\n[]\n')
    register.start(experiment("two", layer="l"))
    assert names(register) == names(Register(tmp_path)) == ["one", "two"]
    assert "damaged" in caplog.text
