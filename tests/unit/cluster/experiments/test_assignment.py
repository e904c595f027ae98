"""Who has which arm: the numbers of other languages, shares as asked for, and nobody moves when traffic changes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.experiments.assignment import OUTSIDE, arm_of, arms_of, exposure_of, is_member, point_of, window_of
from cluster.experiments.definition import Experiment

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))
"""Computed from `sha256sum` (coreutils) and double precision, not by this code."""
DAY = 86_400_000_000


def experiment(**changes: Any) -> Experiment:
    whole = {"name": "more_boards", "clients": ["homefeed"], "arms": {"control": {}, "treatment": {}}, **changes}
    return Experiment.model_validate(whole)


@pytest.mark.parametrize("vector", [v for v in VECTORS if "user" in v], ids=lambda v: f"{v['salt']}-{v['user']}")
def test_users_have_the_arms_that_other_languages_compute(vector: dict[str, Any]) -> None:
    user = vector["user"]
    assert point_of(f"layer/{vector['layer']}/{user}") == vector["layer_point"]
    two = experiment(layer=vector["layer"], salt=vector["salt"])
    assert arm_of(two, user, 0) == vector["arm_of_two"]
    three = experiment(salt=vector["salt"], arms={"a": {"weight": 1}, "b": {"weight": 2}, "c": {"weight": 1}})
    assert arm_of(three, user, 0) == vector["arm_of_1_2_1"]
    only_up_to_them = round(vector["layer_point"] + 1e-6, 6)
    assert is_member(experiment(layer=vector["layer"], traffic=only_up_to_them), user)
    assert not is_member(experiment(layer=vector["layer"], traffic=round(vector["layer_point"] - 1e-6, 6)), user)


@pytest.mark.parametrize("vector", [v for v in VECTORS if "window" in v])
def test_windows_have_the_arms_that_other_languages_compute(vector: dict[str, Any]) -> None:
    switch = experiment(design="switchback", salt=vector["salt"], minutes=vector["minutes"])
    assert window_of(switch, vector["at"]) == vector["window"]
    for user in (1, "anna", None):
        assert arm_of(switch, user, vector["at"]) == vector["arm_of_two"]


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(codec="utf-8"), min_size=1)), st.data())
def test_nobody_who_stays_has_another_arm_when_traffic_changes(user: int | str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, 900_000))
    least, most = sorted(data.draw(st.integers(1, 1_000_000 - start)) for _ in range(2))
    weights = {f"a{i}": {"weight": data.draw(st.floats(0.01, 100))} for i in range(data.draw(st.integers(2, 5)))}
    small, large = (experiment(start=start / 1e6, traffic=t / 1e6, arms=weights) for t in (least, most))
    if is_member(small, user):
        assert is_member(large, user)
        assert arm_of(small, user, 0) == arm_of(large, user, 0) != OUTSIDE
    if not is_member(large, user):
        assert arm_of(small, user, 0) == OUTSIDE


@given(st.integers(-(2**63), 2**63 - 1), st.lists(st.integers(1, 300_000), min_size=1, max_size=8))
def test_neighbours_in_a_layer_share_nobody_and_leave_nobody_out(user: int, parts: list[int]) -> None:
    parts = [*parts, 1_000_000 - sum(parts)] if sum(parts) < 1_000_000 else [1_000_000]
    starts = np.cumsum([0, *parts[:-1]]).tolist()
    neighbours = [
        experiment(name=f"e{at}", layer="one", start=start / 1e6, traffic=part / 1e6)
        for at, (start, part) in enumerate(zip(starts, parts, strict=True))
    ]
    assert sum(is_member(each, user) for each in neighbours) == 1


def test_shares_are_those_asked_for_and_layers_are_independent_of_arms() -> None:
    users = range(10_000)
    third = experiment(traffic=0.3, arms={"a": {"weight": 1}, "b": {"weight": 3}})
    arms = arms_of(third, users)
    inside = arms[arms != OUTSIDE]
    assert abs(len(inside) / len(users) - 0.3) < 0.02
    assert abs((inside == 1).mean() - third.shares["b"]) < 0.04
    other = arms_of(experiment(name="another", traffic=0.3), users)
    both = (arms != OUTSIDE) & (other != OUTSIDE)
    assert abs(both.mean() - 0.09) < 0.02
    again = arms_of(
        experiment(traffic=0.3, salt="again", arms={"a": {}, "b": {"weight": 3}}, layer="more_boards"), users
    )
    assert ((again != OUTSIDE) == (arms != OUTSIDE)).all()
    assert (again != arms).any()


def test_a_user_is_the_same_as_number_of_any_kind() -> None:
    one = experiment()
    assert arm_of(one, 7, 0) == arm_of(one, np.int64(7), 0) == arm_of(one, "7", 0)  # type: ignore[arg-type]


def test_requests_without_a_user_are_in_no_experiment_of_users() -> None:
    assert arm_of(experiment(), None, 0) == OUTSIDE
    assert arm_of(experiment(design="interleaving"), None, 0) == OUTSIDE
    assert arm_of(experiment(design="switchback", traffic=0.5), None, 0) == OUTSIDE
    assert arm_of(experiment(design="switchback"), None, 0) != OUTSIDE


def test_all_users_of_a_window_have_one_arm_and_windows_differ() -> None:
    switch = experiment(design="switchback", minutes=30, traffic=0.5)
    met = set()
    for hour in range(48):
        arms = arms_of(switch, range(50), hour * DAY // 24)
        in_it = set(arms[arms != OUTSIDE].tolist())
        assert len(in_it) == 1
        met |= in_it
    assert met == {0, 1}


def test_exposure_names_what_is_in_force() -> None:
    assert exposure_of(experiment(), 1) == ("more_boards/treatment",)
    assert exposure_of(experiment(), OUTSIDE) == ()
    both = experiment(design="interleaving")
    assert exposure_of(both, arm_of(both, 7, 0)) == ("more_boards/control", "more_boards/treatment")
