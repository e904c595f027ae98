"""Custom resources and shares of GPUs: what Ray would refuse late, or wait for without a word, is told at once."""

from typing import Any

import pytest

from cluster.errors import ConfigError
from cluster.settings.gbdt import GbdtSettings
from cluster.settings.parsing import Settings, parse
from cluster.settings.ranker import RankerSettings
from cluster.settings.resources import not_there


@pytest.mark.parametrize(
    ("section", "raw", "says"),
    [
        (GbdtSettings, {"resources": {"CPU": 1}}, "file: resources: .*CPU: CPUs have settings of their own"),
        (RankerSettings, {"resources": {"memory": 1}}, "resources: .*Ray keeps `memory` for itself"),
        (RankerSettings, {"resources": {"heavy": 0}}, "resources: .*heavy: expected a number from 0.0001 on"),
        (GbdtSettings, {"resources": {"heavy": float("inf")}}, "heavy: expected a number"),
        (GbdtSettings, {"resources": {"": 1}}, "a resource needs a name"),
        (RankerSettings, {"gpus": 1.5}, "gpus: .*a fraction of one GPU, or a whole number of them"),
        (RankerSettings, {"gpus": 0}, "gpus: Input should be greater than 0"),
    ],
)
def test_what_ray_would_refuse_is_one_line(section: type[Settings], raw: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse(section, raw, "file")
    assert "\n" not in str(caught.value)


def test_any_other_name_and_share_is_taken() -> None:
    settings = RankerSettings.model_validate({"gpus": 0.25, "resources": {"accelerator_type:A10G": 0.001, "heavy": 2}})
    assert (settings.gpus, settings.resources) == (0.25, {"accelerator_type:A10G": 0.001, "heavy": 2.0})
    assert RankerSettings(gpus=2).gpus == 2
    assert not GbdtSettings().resources


def test_a_name_that_no_node_has_is_told() -> None:
    nodes = [{"CPU": 4.0, "memory": 1e9, "node:10.0.0.1": 1.0}, {"CPU": 4.0, "heavy": 1.0, "fast": 0.0}]
    assert not_there(["heavy"], nodes) == ""
    assert not_there([], nodes) == ""
    assert not_there(["havy", "fast"], nodes) == "no node has `fast`, `havy`, nodes have `heavy`"
    assert not_there(["heavy"], nodes[:1]) == "no node has `heavy`, nodes have no custom resource"
