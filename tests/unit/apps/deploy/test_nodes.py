"""A home or a key file that some node does not see stops a deployment, and the message names setting and node."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from apps.deploy.nodes import require_on_every_node
from cluster.errors import ConfigError
from cluster.settings.project import Project

EDGES = {"edges": {"path": "edges.parquet"}}


def project(home: str, keys: str | None = None) -> Project:
    return Project.model_validate({"home": home, "data": EDGES, "access": {"keys": keys}})


def seeing(*roots: str):  # type: ignore[no-untyped-def]
    """A cluster of two nodes; the second sees only what lies below `roots`."""

    def look(paths: list[str]) -> Mapping[str, list[bool]]:
        here = [Path(path).exists() for path in paths]
        there = [found and path.startswith(roots) for path, found in zip(paths, here, strict=True)]
        return {"10.0.0.1": here, "10.0.0.2": there}

    return look


def test_a_shared_home_passes_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.touch()
    require_on_every_node(project(f"{tmp_path}/home", str(keys)), seeing(str(tmp_path)))
    assert list((tmp_path / "home").iterdir()) == []


def test_a_folder_of_the_same_name_is_not_the_same_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"node 10.0.0.2: home: .* is not the same folder there") as error:
        require_on_every_node(project(str(tmp_path)), seeing("/elsewhere"))
    assert "10.0.0.1" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_keys_that_one_node_lacks_are_named(tmp_path: Path) -> None:
    home, keys = tmp_path / "home", tmp_path / "keys.yaml"
    keys.touch()
    with pytest.raises(ConfigError, match=r"^node 10.0.0.2: access.keys: .*keys.yaml is not there"):
        require_on_every_node(project(str(home), str(keys)), seeing(str(home)))


def test_beside_a_bucket_the_local_folder_is_looked_for(tmp_path: Path) -> None:
    settings = {"home": "s3://bucket/pinfunnel", "local": str(tmp_path), "data": EDGES}
    require_on_every_node(Project.model_validate(settings), seeing(str(tmp_path)))
    with pytest.raises(ConfigError, match=r"^node 10.0.0.2: local: .* is not the same folder there"):
        require_on_every_node(Project.model_validate(settings), seeing("/elsewhere"))
    assert list(tmp_path.iterdir()) == []
