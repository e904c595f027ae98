"""Sources by name and by import path: what a client's YAML may say, and what it is told when it is wrong."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from apps.project import Opened
from cluster.errors import ConfigError, DataError
from cluster.settings.clients import Client, load_client
from serving.candidates.generator import CandidateGenerator, make_generator, register
from serving.deploy.process import Process
from serving.logs.impressions import log_row
from serving.request.found import FoundPins, Origin
from tests.worlds.funnel import ask, opened_world, publish_lightweight, some_user

PAGE = Path(__file__).parents[4] / "docs" / "extend" / "generator.md"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The page's source, importable, in a client with the page's line of YAML."""
    text = PAGE.read_text(encoding="utf-8")
    code, line = (re.findall(rf"```{kind}\n(.*?)```", text, re.S)[0] for kind in ("python", "yaml"))
    (tmp_path / "shop_sources.py").write_text(code)
    (tmp_path / "homefeed.yaml").write_text(line)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "shop_sources", raising=False)
    return load_client(tmp_path / "homefeed.yaml")


def _served(world: Opened, client: Client) -> Process:
    return Process(world.project, {**world.clients, client.name: client})


def test_the_pages_source_is_in_answers_explanations_log_and_features(shop: Client, tmp_path: Path) -> None:
    world = opened_world(tmp_path / "world")
    process = _served(world, shop)
    publish_lightweight(process.store, process.features, "homefeed", "source_count")
    process.watcher().poll()
    answer = process.funnel.recommend_now(ask(user_id=some_user(world)), explain=True)
    assert answer.degraded == ""
    found = answer.candidates.sources
    assert found.names[:2] == ("walk", "least_known")
    assert found.budget[:2] == (1800, 200)
    mine = np.flatnonzero(found.rank[:, 1] >= 0)
    assert len(mine) > 10
    assert (process.catalogs.current.graph.pin_degree[answer.candidates.pins[mine]] <= 5).all()
    told = {one.source for pin in answer.discoveries for one in pin}
    assert told >= {"walk", "least_known"}
    row = log_row(answer, "r", "h", "", None)
    assert list(row["source_name"])[:2] == ["walk", "least_known"]
    assert (row["source_rank"].reshape(len(row["pin_id"]), -1)[mine, 1] >= 0).all()
    assert answer.ranked is not None
    names = process.features.candidate
    alone = mine[found.rank[mine, 0] < 0]
    assert np.isnan(answer.ranked.candidates[alone, names.index("graph_visits")]).all()
    assert (answer.ranked.candidates[:, names.index("source_count")] == (found.rank >= 0).sum(axis=1)).all()
    assert [stage.stage for stage in answer.stages][:2] == ["walk", "least_known"]


def test_a_named_source_has_columns_of_its_own(shop: Client, tmp_path: Path) -> None:
    world = opened_world(tmp_path / "world")
    features = world.project.features.model_copy(update={"sources": ("least_known",)})
    opened = Opened(world.project.model_copy(update={"features": features}), world.clients)
    names = opened.new_process().features.candidate
    assert names[-2:] == ("source_rank_least_known", "source_score_least_known")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"wlak": 100}, r"sources\.wlak: no source is called 'wlak'; did you mean 'walk'\?"),
        ({"mine": {"use": "no_such_module:Thing"}}, r"sources\.mine\.use: .*cannot be imported: ModuleNotFoundError"),
        ({"mine": {"use": "json:dumps"}}, r"sources\.mine\.use: 'json:dumps' is no class with a method `generate`"),
        ({"walk": {"settings": {"steps": 3}}}, r"sources\.walk\.settings: RandomWalk does not take these"),
    ],
)
def test_a_wrong_entry_is_named(sources: dict[str, Any], message: str) -> None:
    client = Client.model_validate({"name": "shop", "sources": sources})
    name, source = next(iter(client.sources.items()))
    with pytest.raises(ConfigError, match=message):
        make_generator(client, name, source)


@pytest.mark.parametrize("sources", ["{full: 10}", "{'A b': 10}", "{walk: 0}", "{walk: {quota: 99999}}", "{}", "3"])
def test_a_clients_file_is_checked_when_it_is_read(tmp_path: Path, sources: str) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(f"sources: {sources}\n")
    with pytest.raises(ConfigError, match="sources"):
        load_client(file)


def test_two_sources_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="two candidate generators are called 'walk'"):
        register("walk")(type("Other", (CandidateGenerator,), {}))


@pytest.mark.parametrize(
    ("pins", "score", "message"),
    [
        ([1, 99], [1.0, 1.0], "not within the 50 pins"),
        ([-1], [1.0], "not within the 50 pins"),
        ([1.5], [1.0], "int32"),
        ([1, 2], [1.0], "a score float32"),
        ([1], [np.nan], "not a number"),
    ],
)
def test_what_no_stage_could_use_is_refused(pins: list, score: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        FoundPins(np.array(pins), np.array(score, np.float32)).checked(50, 10)


def test_the_budget_is_kept() -> None:
    origin = Origin("topic", np.array([5, 6, 7, 8], np.int32))
    found = FoundPins(np.array([4, 3, 8, 9]), np.array([4, 3, 2, 1], np.float32), origin).checked(50, 2)
    assert found.pins.tolist() == [4, 3]
    assert found.pins.dtype == np.int32
    assert found.origin.of.tolist() == [5, 6]


def test_the_pages_yaml_parses() -> None:
    line = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[0]
    assert list(yaml.safe_load(line)["sources"]) == ["walk", "least_known"]
