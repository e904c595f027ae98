"""What is no experiment is refused, with the field that is wrong."""

from typing import Any

import pytest

from cluster.errors import ConfigError
from cluster.experiments.definition import Experiment
from cluster.settings.parsing import parse

PLAIN: dict[str, Any] = {"name": "e", "clients": ["homefeed"], "arms": {"control": {}, "treatment": {}}}
NAN = float("nan")


def changed(**changes: Any) -> Experiment:
    return parse(Experiment, {**PLAIN, **changes}, "experiments.yaml: e")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"traffic": NAN}, "traffic"),
        ({"traffic": 0}, "traffic"),
        ({"traffic": 1.5}, "traffic"),
        ({"traffic": 0.1234567}, "6 decimals"),
        ({"start": -0.1}, "start"),
        ({"start": 0.9, "traffic": 0.2}, "a layer ends at 1"),
        ({"arms": {"control": {}}}, "arms"),
        ({"arms": {"control": {"weight": 0}, "treatment": {}}}, "arms.control.weight"),
        ({"arms": {"control": {"weight": NAN}, "treatment": {}}}, "arms.control.weight"),
        ({"arms": {"control": {"weight": float("inf")}, "treatment": {}}}, "arms.control.weight"),
        ({"arms": {"a/b": {}, "treatment": {}}}, "arms.a/b"),
        ({"arms": {"": {}, "treatment": {}}}, "arms"),
        ({"arms": {"control": {}, "treatment": {"sett": {}}}}, "did you mean 'set'"),
        ({"arms": {"control": {}, "treatment": {"versions": {"full": "../../etc"}}}}, "versions.full"),
        ({"arms": {"control": {}, "treatment": {"versions": {"graph": "2026"}}}}, "share one graph"),
        ({"arms": {"control": {}, "treatment": {"versions": {"lightweight/ads": "2026"}}}}, "lightweight/ads"),
        ({"clients": []}, "clients"),
        ({"clients": ["homefeed", "homefeed"]}, "twice"),
        ({"name": "More"}, "name"),
        ({"name": "e/f"}, "name"),
        ({"salt": "a/b"}, "salt"),
        ({"salt": ""}, "salt"),
        ({"layer": ""}, "layer"),
        ({"minutes": 60}, "switchback"),
        ({"design": "switchback", "minutes": 0}, "minutes"),
        ({"design": "other"}, "design"),
        ({"horizon": {"kind": "fixed"}}, "days"),
        ({"horizon": {"kind": "sequential", "days": 3}}, "days"),
        ({"design": "interleaving", "arms": {"a": {}, "b": {}, "c": {}}}, "exactly two"),
        ({"design": "interleaving", "arms": {"a": {"weight": 2}, "b": {}}}, "same weight"),
        ({"design": "interleaving", "arms": {"a": {}, "b": {"set": {"sources.walk.quota": 9}}}}, "same candidates"),
        ({"design": "interleaving", "arms": {"a": {}, "b": {"set": {"sizes.walk": 9}}}}, "same candidates"),
        ({"ends": "tomorrow"}, "unknown key"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=r"experiments\.yaml: e") as caught:
        changed(**changes)
    assert told in str(caught.value)


def test_neighbours_meet_to_the_bit() -> None:
    first, second = changed(start=0.1, traffic=0.2), changed(start=0.3, traffic=0.7)
    assert first.end == second.start != 0.1 + 0.2


def test_defaults() -> None:
    plain = changed()
    assert plain.layer_name == "e"
    assert plain.control == "control"
    assert plain.shares == {"control": 0.5, "treatment": 0.5}
    assert changed(design="switchback").window_minutes == 60
    order = {"policy.diversity": 0.2, "utility": {"save": 1.0}, "boosts": [], "sizes.lightweight": 100}
    assert changed(design="interleaving", arms={"a": {}, "b": {"set": order}}).arms["b"].set == order
