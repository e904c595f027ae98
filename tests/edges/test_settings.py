"""Settings that cannot hold are refused before anything is built: by `validate` first of all."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from apps.cli import app
from apps.project import Opened, open_project
from cluster.errors import ConfigError


def opened(folder: Path, client: Any = None, suffix: str = "yaml", **project: Any) -> Opened:
    (folder / "clients").mkdir()
    (folder / "clients" / f"feed.{suffix}").write_text(yaml.safe_dump(client or {"about": "a feed"}))
    settings = {"data": {"edges": {"path": "edges.parquet"}}, "clients": "clients", **project}
    (folder / "pinfunnel.yaml").write_text(yaml.safe_dump(settings))
    return open_project(folder / "pinfunnel.yaml")


@pytest.mark.parametrize(
    ("client", "says"),
    [
        ({"boosts": [{"feature": "nope", "factor": 2}]}, "nope"),
        ({"policy": {"steps": {"nope": {}}}}, "policy.steps: unknown step 'nope'"),
        ({"policy": {"forbid": {"nope": ["x"]}}}, "policy.forbid: 'nope' is not among features.pin_categorical"),
        ({"policy": {"demote": {"nope": {"x": 0.5}}}}, "policy.demote: 'nope' is not among"),
        ({"labels": {"strategy": "nope"}}, "nope"),
        ({"utility": {"nope": 1.0}}, "utility: unknown action 'nope'"),
    ],
)
def test_a_client_that_names_what_is_not_there_is_refused(tmp_path: Path, client: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, client).check_clients()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", ["validate", "build-graph"])
def test_validate_and_build_refuse_what_serving_would_refuse(tmp_path: Path, command: str) -> None:
    with pytest.raises(ConfigError, match="nope"):
        opened(tmp_path, {"policy": {"steps": {"nope": {}}}}).check_clients()
    pq.write_table(pa.table({"board_id": [1], "pin_id": [2]}), tmp_path / "edges.parquet")
    result = CliRunner().invoke(app, [command, "-p", str(tmp_path / "pinfunnel.yaml")])
    assert result.exit_code == 1
    assert "unknown step 'nope'" in result.output + result.stderr


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_a_client_file_of_either_suffix_is_read(tmp_path: Path, suffix: str) -> None:
    assert set(opened(tmp_path, suffix=suffix).clients) == {"feed"}


@pytest.mark.parametrize("actions", [["", "buy"], ["buy", "buy"], ["x" * 65, "buy"], ["\ud800", "buy"]])
def test_each_action_has_a_short_name_of_its_own(tmp_path: Path, actions: list[str]) -> None:
    own = {"query": {"actions": {"buy": 1.0}}, "utility": {"buy": 1.0}, "labels": {"action_weights": {"buy": 1.0}}}
    with pytest.raises(ConfigError, match="actions"):
        opened(tmp_path, own, actions=actions)


@pytest.mark.parametrize(("actions", "negative"), [(["buy"], ()), (["buy", "hide"], ("hide",))])
def test_own_actions_need_no_word_on_the_negative_ones(
    tmp_path: Path, actions: list[str], negative: tuple[str, ...]
) -> None:
    own = {"query": {"actions": {"buy": 1.0}}, "utility": {"buy": 1.0}, "labels": {"action_weights": {"buy": 1.0}}}
    assert opened(tmp_path, own, actions=actions).project.negative_actions == negative


def test_a_negative_action_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="negative_actions names"):
        opened(tmp_path, actions=["save"], negative_actions=["dislike"])
