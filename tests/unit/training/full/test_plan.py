"""Plans of training: what is tried on a log of some size, and what a user may change of it."""

from pathlib import Path
from typing import Any

import pytest

from apps.project import open_project
from cluster.errors import ConfigError
from cluster.settings.project import RankerSettings
from tests.worlds.toy import toy_project
from training.full.plan import FEW_REQUESTS, MANY_REQUESTS, NetworkPlan, plans_for
from training.ranker.config import FitConfig, ModelConfig


def plans(requests: int = 5000, **ranker: Any) -> tuple[NetworkPlan, ...]:
    return plans_for(RankerSettings(**ranker), ("hide",), requests)


def test_more_requests_are_given_larger_networks() -> None:
    def sizes(requests: int) -> list[str]:
        return [plan.name for plan in plans(requests)]

    assert sizes(FEW_REQUESTS) == ["small"]
    assert sizes(FEW_REQUESTS + 1) == ["small", "sequence", "medium"]
    assert sizes(MANY_REQUESTS) == ["medium", "base"]
    small, sequence, medium = plans()
    assert (small.model.pin_buckets, small.model.sequence_layers) == (0, -1)
    assert sequence.model.pin_buckets == 0
    assert sequence.model.sequence_layers >= 0
    assert medium.model.pin_buckets > 0
    assert [plan.name for plan in plans(10, size="base")] == ["base"]


def test_a_residual_takes_shorter_steps() -> None:
    residual, fresh = (plans_for(RankerSettings(), (), 0, scored)[0].fit for scored in (True, False))
    assert residual.learning_rate < fresh.learning_rate
    assert residual.listwise > fresh.listwise == 0


def test_what_is_given_changes_every_plan_and_nothing_else() -> None:
    given = {
        "epochs": 3,
        "learning_rate": 1e-3,
        "model": {"dropout": 0.4, "crossing": "mask", "task_experts": 2},
        "fit": {"listwise": 1, "task_weights": [1.0, 2.0, 1.0, 1.0, 0.5]},
    }
    for plain, changed in zip(plans(), plans(**given), strict=True):
        assert changed.model == plain.model.but(dropout=0.4, crossing="mask", task_experts=2)
        weights = (1.0, 2.0, 1.0, 1.0, 0.5)
        assert changed.fit == plain.fit.but(epochs=3, learning_rate=1e-3, listwise=1.0, task_weights=weights)
        assert plain.fit.flat_actions == ("hide",)


@pytest.mark.parametrize(
    ("ranker", "said"),
    [
        ({"model": {"dropuot": 0.1}}, "ranker.model.dropuot: unknown key; did you mean 'dropout'?"),
        ({"model": {"dropout": 1.0}}, "ranker.model.dropout: Input should be less than 1, found 1.0"),
        ({"model": {"experts": "moe"}}, "ranker.model.experts: Input should be 'mmoe', 'ple' or 'shared', found 'moe'"),
        ({"model": {"bins": "4"}}, "ranker.model.bins: Input should be a valid integer, found '4'"),
        ({"model": {"sequence_heads": 3}}, "sequence_width 16 is not a multiple of sequence_heads 3"),
        ({"fit": {"negatives": 0}}, "ranker.fit.negatives: Input should be greater than 0, found 0"),
        ({"fit": {"epochs": True}}, "ranker.fit.epochs: Input should be a valid integer, found True"),
    ],
)
def test_a_knob_that_is_none_is_named(ranker: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        plans(size="debug", **ranker)
    assert str(error.value).startswith(said)


def test_an_action_that_teaches_nothing_is_left_out_of_every_plan() -> None:
    (plain,) = plans(requests=0)
    (weighted,) = plans(requests=0, fit={"task_weights": [2.0, 3.0]})
    assert plain.of_tasks((1.0, 0.0)).fit.task_weights == (1.0, 0.0)
    assert weighted.of_tasks((1.0, 0.0)).fit.task_weights == (2.0, 0.0)


def test_wrong_settings_are_told_when_the_project_is_opened(tmp_path: Path) -> None:
    path = toy_project(tmp_path, settings={"ranker": {"fit": {"task_weights": [1, 2]}}})
    with pytest.raises(ConfigError, match=r"ranker\.fit\.task_weights: 2 weights for the 5 actions save, click"):
        open_project(path)
    path = toy_project(tmp_path, settings={"ranker": {"model": {"pin_bukets": 3}}})
    with pytest.raises(ConfigError, match=r"ranker\.model\.pin_bukets: unknown key; did you mean 'pin_buckets'"):
        open_project(path)


def test_the_presets_keep_their_own_rules() -> None:
    """Every preset is what its own annotations allow, and survives the way to the bundle and back."""
    networks = [getattr(ModelConfig, name)() for name in ("debug", "small", "medium", "base", "large")]
    fits = [FitConfig(), FitConfig.debug(), FitConfig.small(), FitConfig.medium()]
    for config in (*networks, *fits):
        key, value = next(iter(config.to_dict().items()))
        assert config.changed({key: value}, "test") == config
        assert type(config).from_dict(config.to_dict()) == config
