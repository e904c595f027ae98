"""An arm's client: its file with other values at some paths, checked as a whole."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cluster.errors import ConfigError
from cluster.experiments.definition import ExperimentArm
from cluster.experiments.files import read_experiments
from cluster.experiments.overrides import changed_client, check_paths
from cluster.settings.clients import Client, SourceSettings

CLIENT = Client(name="homefeed", sources={"walk": SourceSettings(), "boards": SourceSettings(quota=300)})


def test_paths_change_what_they_name_and_nothing_else() -> None:
    changed = changed_client(
        CLIENT,
        {
            "sources.boards.quota": 400,
            "sources.popular": 50,
            "policy.diversity": 0.2,
            "utility": {"save": 2.0},
            "boosts": [{"feature": "locale_match", "factor": 2.0}],
        },
        "here",
    )
    assert changed.quotas == {"walk": 2000, "boards": 400, "popular": 50}
    assert changed.policy.diversity == 0.2
    assert changed.utility == {"save": 2.0}
    assert changed.boosts[0].factor == 2.0
    same = {"sources", "policy", "utility", "boosts"}
    assert changed.model_dump(exclude=same) == CLIENT.model_dump(exclude=same)
    assert changed_client(CLIENT, {}, "here") is CLIENT
    only = changed_client(CLIENT, {"sources": {"walk": 100}}, "here")
    assert list(only.sources) == ["walk"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sizes.answer": 600}, "here: sizes: Value error, a funnel narrows"),
        ({"sizes.explore": 25}, "explore < answer"),
        ({"policy.diversty": 0.2}, "did you mean 'diversity'"),
        ({"policy.diversity": 2}, "here: policy.diversity"),
        ({"policy.diversity": "much"}, "here: policy.diversity"),
        ({"boosts.0": 1}, "set.boosts.0: boosts is no mapping"),
        ({"sources.lightweight": 20}, "a stage is called so"),
        ({"sources": {}}, "here: sources"),
        ({"sources.walk.quota": 0}, "here: sources.walk.quota"),
        ({"sizes": None}, "here: sizes"),
    ],
)
def test_what_does_not_fit_the_client_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed_client(CLIENT, changes, "here")
    assert told in str(caught.value)
    assert str(caught.value).startswith("here: ")


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["api_key_env"], "set.api_key_env: arms may set walk,"),
        (["name"], "arms may set"),
        (["labels.strategy"], "arms may set"),
        (["polcy.diversity"], "did you mean 'policy'"),
        (["policy..diversity"], "dots between"),
        (["policy."], "dots between"),
        (["sizes", "sizes.walk"], "set.sizes.walk lies in set.sizes"),
    ],
)
def test_paths_that_no_arm_may_set(paths: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_paths(paths, "here")
    assert told in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"save": float("nan")}])
def test_numbers_are_finite(value: Any) -> None:
    with pytest.raises(ValidationError, match="finite"):
        ExperimentArm(set={"utility": value})


PLAIN = "{clients: [x], layer: l, arms: {c: {}, t: {}}}"
FILES = {
    "overlap": ("".join(f"{name}: {PLAIN}\n" for name in "ab"), "overlaps"),
    "nan": ("a: {clients: [x], traffic: .nan, arms: {c: {}, t: {}}}", "a: traffic"),
    "zero": ("a: {clients: [x], arms: {c: {weight: 0}, t: {}}}", "a: arms.c.weight"),
    "list": ("a: [1]", "expected a mapping"),
    "name": ("a: {name: b, clients: [x], arms: {c: {}, t: {}}}", "leave it out"),
    "number": ("7: {clients: [x], arms: {c: {}, t: {}}}", "7: name"),
    "date": ("a: {clients: [x], arms: {c: {}, t: {set: {walk.steps: 2026-01-01}}}}", "a: arms.t.set"),
    "twice": ("a: {clients: [x], arms: {c: {}, t: {}}}\na: {clients: [x], arms: {c: {}, t: {}}}", "there twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_none(tmp_path: Path, case: str) -> None:
    path = tmp_path / "experiments.yaml"
    path.write_text(FILES[case][0])
    with pytest.raises(ConfigError) as caught:
        read_experiments(path)
    assert FILES[case][1] in str(caught.value)
    assert str(path) in str(caught.value)
