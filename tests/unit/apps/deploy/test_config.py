"""A Serve config takes the whole project along, and what is wrong with it is said before anything is sent."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.deploy.config import arguments_of, inlined
from apps.project import open_project, project_of
from cluster.errors import ConfigError
from tests.worlds.toy import toy_project

PRINTED = Path(__file__).parents[4] / "apps" / "serve.yaml"


def written(folder: Path, **changes: Any) -> Path:
    """The shipped config with other arguments, in a file."""
    config = yaml.safe_load(PRINTED.read_text())
    config["applications"][0]["args"] |= changes
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_project(tmp_path_factory.mktemp("toy"))


def test_the_project_that_arrives_is_the_one_that_was_read(project: Path, tmp_path: Path) -> None:
    config, opened = inlined(written(tmp_path, project=str(project)))
    sent = yaml.safe_load(yaml.safe_dump(config))  # what JSON or YAML keep of it
    arrived = project_of(arguments_of(sent, PRINTED)["project"])
    assert arrived == opened == open_project(project)
    assert Path(arrived.project.home).is_absolute()


def test_the_option_names_another_project_than_the_config(project: Path, tmp_path: Path) -> None:
    opened = inlined(PRINTED, project)[1]
    assert opened == open_project(project)
    with pytest.raises(ConfigError, match=r"elsewhere\.yaml: no such file"):
        inlined(written(tmp_path, project="elsewhere.yaml"))


@pytest.mark.parametrize(
    ("applications", "told"),
    [
        ([], "applications: 0 with `import_path: apps.serve:build`, expected one"),
        ([{"import_path": "other:app"}], "applications: 0 with"),
        ([{"import_path": "apps.serve:build", "args": 3}], "args: expected a mapping, found int"),
        ([{"import_path": "apps.serve:build", "args": {"cpu": 1}}], "cpu: Extra inputs are not permitted"),
        ([{"import_path": "apps.serve:build", "args": {"cpus": -1}}], "cpus: Input should be greater than or equal"),
        ([{"import_path": "apps.serve:build", "args": {"full_gpus": 1.5}}], "full_gpus: .* a fraction of one GPU"),
        ([{"import_path": "apps.serve:build", "args": {"resources": {"walk": {"GPU": 1}}}}], "resources.walk: .*GPU: "),
        ([{"import_path": "apps.serve:build", "name": ["x"]}], "name"),
    ],
)
def test_what_is_wrong_with_the_config_is_told(
    project: Path, tmp_path: Path, applications: list[Any], told: str
) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(yaml.safe_dump({"applications": applications}))
    with pytest.raises(ConfigError, match=f"serve.yaml: .*{told}"):
        inlined(path, project)


@pytest.mark.parametrize(
    "part", [{}, {"settings": {}}, {"settings": {}, "clients": 3}, {"settings": {}, "clients": {}}]
)
def test_settings_that_are_none_are_refused(part: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="project"):
        project_of(part)
