"""What the full ranker's workers ask for beside CPUs, by the settings and by what the cluster has."""

from typing import Any

import pytest

from cluster.errors import ModelError
from cluster.settings.ranker import RankerSettings
from training.full.fit import beside_cpus


@pytest.mark.parametrize(
    ("settings", "gpus", "asked"),
    [
        ({}, 0, {}),
        ({}, 1, {"GPU": 1.0}),
        ({"gpus": 0.25}, 1, {"GPU": 0.25}),
        ({"gpus": 0.25}, 0, {}),
        ({"gpus": 2}, 1, {}),
        ({"use_gpu": "no"}, 4, {}),
        ({"use_gpu": "yes", "gpus": 2}, 2, {"GPU": 2.0}),
        ({"use_gpu": "no", "resources": {"heavy": 1}}, 4, {"heavy": 1.0}),
        ({"resources": {"heavy": 1}}, 4, {"GPU": 1.0, "heavy": 1.0}),
    ],
)
def test_workers_ask_for_gpus_that_are_there_and_for_custom_resources(
    settings: dict[str, Any], gpus: int, asked: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    cluster = {"CPU": 4.0, "heavy": 1.0} | ({"GPU": float(gpus)} if gpus else {})
    assert beside_cpus(RankerSettings.model_validate(settings), cluster) == asked
    assert not caplog.records


@pytest.mark.parametrize(("gpus", "told"), [(0, "the cluster has no GPU"), (1, "the cluster has 1 GPUs of 2")])
def test_gpus_that_must_be_used_and_are_not_there_are_an_error(gpus: int, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        beside_cpus(RankerSettings(use_gpu="yes", gpus=2), {"GPU": float(gpus)})


def test_a_resource_that_no_node_has_yet_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert beside_cpus(RankerSettings(resources={"havy": 1}), {"heavy": 1.0}) == {"havy": 1.0}
    assert "ranker.resources: no node has `havy`, nodes have `heavy`: training waits until one does" in caplog.text
