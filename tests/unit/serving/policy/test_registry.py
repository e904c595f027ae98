"""Steps by name: their order, what a client's YAML may say, and the step that docs/extend/policy-step.md adds."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.errors import ConfigError
from cluster.settings.clients import Client, PolicySettings, load_client
from serving.policy import registry
from serving.policy.pipeline import Policy
from serving.policy.registry import Phase, register
from serving.policy.slate import Slate
from serving.policy.steps import registered
from tests.unit.serving.policy.steps.slates import candidates, request

PAGE = Path(__file__).parents[4] / "docs" / "extend" / "policy-step.md"


@pytest.fixture
def own_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's step, registered for one test."""
    monkeypatch.setattr(registry, "REGISTRY", REGISTERED := dict(registry.REGISTRY))
    monkeypatch.setattr("serving.policy.steps.REGISTRY", REGISTERED)
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[0]
    exec(compile(code, str(PAGE), "exec"), {"__name__": "min_visits"})


def test_filters_come_first_and_caps_last() -> None:
    assert [kind.name for kind in registered()] == ["exclude", "forbid", "demote", "mmr", "caps"]


def test_the_pages_step_works_by_one_line_of_yaml(own_step: None, tmp_path: Path) -> None:
    line = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)[0]
    file = tmp_path / "homefeed.yaml"
    file.write_text(line)
    policy = Policy.of(load_client(file))
    slate = Slate(np.array([2, 0, 1]), np.array([3.0, 2, 1]))
    out = policy.apply(slate, request(candidates=candidates(np.array([5, 1, 2]))), arrange=False)
    assert out.pin.tolist() == [2, 0]
    assert out.removed == {"min_visits": 1}
    assert len(Policy.of(Client(name="homefeed")).filters) == len(policy.filters) - 1


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"max_visits": {}}, "unknown step 'max_visits'; steps are caps, demote, exclude, forbid, min_visits, mmr"),
        ({"min_visits": {"at_most": 3}}, r"policy\.steps\.min_visits: at_most: unknown key"),
        ({"min_visits": {"at_least": 0}}, r"policy\.steps\.min_visits: at_least: .*greater than or equal to 1"),
    ],
)
def test_wrong_steps_name_the_key(own_step: None, steps: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Policy.of(Client(name="homefeed", policy=PolicySettings(steps=steps)))


def test_two_steps_cannot_share_a_name(own_step: None) -> None:
    with pytest.raises(ValueError, match="'mmr'"):
        register("mmr", Phase.CAP)(lambda policy: [])


def test_a_control_arm_is_filtered_and_not_arranged() -> None:
    policy = Policy.of(Client(name="homefeed", policy=PolicySettings(topic_cap=1)))
    slate = Slate(np.array([3, 4, 5]), np.array([3.0, 2, 1]), topic=np.array([1, 1, 2]))
    asked = request(hidden=np.array([5]))
    assert policy.apply(slate, asked, arrange=False).pin.tolist() == [3, 4]
    assert policy.apply(slate, request(), arrange=True).pin.tolist() == [3, 5, 4]
