"""pinfunnel.yaml and client files: unknown keys, wrong values, and a sixth client from one file."""

from pathlib import Path

import pytest
import yaml

from apps.project import SHIPPED_CLIENTS, open_project
from cluster.errors import ConfigError
from cluster.settings.clients import load_client, load_clients
from cluster.settings.project import DEFAULT_ACTIONS, Project
from cluster.store.home import lost_with_local


def write(folder: Path, **settings: object) -> Path:
    path = folder / "pinfunnel.yaml"
    path.write_text(yaml.safe_dump({"data": {"edges": {"path": "edges"}}, **settings}))
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    project = Project.load(write(tmp_path, home="out"))
    assert project.home == str(tmp_path / "out")
    assert project.data.edges.path == str(tmp_path / "edges")


def test_a_home_in_a_bucket_keeps_the_rest_in_a_folder(tmp_path: Path) -> None:
    project = Project.load(write(tmp_path, home="s3://bucket/x", local="here"))
    assert (project.home, project.local_home) == ("s3://bucket/x", str(tmp_path / "here"))
    assert project.control == str(tmp_path / "here" / "control")
    other = Project.load(write(tmp_path, home="s3://bucket/x", local="here", control="there"))
    assert other.control == str(tmp_path / "there")
    plain = Project.load(write(tmp_path, home="out"))
    assert (plain.local_home, plain.control) == (str(tmp_path / "out"), None)
    assert lost_with_local(plain) is None
    assert "acknowledged events that are not Parquet yet" in str(lost_with_local(project))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"home": "s3://bucket/x"}, "home: an object store cannot hold what is appended to .*`local`"),
        ({"home": "file:///x", "local": "y"}, "home: a folder, or one of s3://, gs://"),
        ({"home": "x", "local": "y"}, "leave `local` out"),
    ],
)
def test_a_home_that_cannot_hold_all_is_one_line(tmp_path: Path, settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Project.load(write(tmp_path, **settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["local", "control"])
def test_a_bucket_is_refused_where_files_are_appended_to(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"pinfunnel.yaml: {key}: .*give a folder.*found 's3://bucket/x'") as caught:
        Project.load(write(tmp_path, **{key: "s3://bucket/x"}))
    assert "\n" not in str(caught.value)


def test_the_uri_of_an_input_stays_as_it_is(tmp_path: Path) -> None:
    project = Project.load(write(tmp_path, data={"edges": {"path": "s3://bucket/edges"}}))
    assert project.data.edges.path == "s3://bucket/edges"


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pinfunnel.yaml: gbdt.max_dept: unknown key; did you mean 'max_depth'"):
        Project.load(write(tmp_path, gbdt={"max_dept": 3}))


def test_every_fault_is_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Project.load(write(tmp_path, gbdt={"max_depth": 99, "rounds": 0}))
    assert "gbdt.max_depth" in str(caught.value)
    assert "gbdt.rounds" in str(caught.value)


def test_negative_actions_must_be_actions(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="negative_actions names"):
        Project.load(write(tmp_path, negative_actions=["dislike"]))


@pytest.mark.parametrize(
    ("text", "says"), [("a: [1", "not valid YAML"), ("- 1", "expected a mapping"), (None, "no such file")]
)
def test_unreadable_files_say_so(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "pinfunnel.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        Project.load(path)


def test_five_clients_ship() -> None:
    clients = load_clients(SHIPPED_CLIENTS, DEFAULT_ACTIONS)
    assert set(clients) == {"homefeed", "related_pins", "notifications", "search", "ads"}
    assert clients["homefeed"].walk.popularity_discount == 0.2


def test_a_sixth_client_is_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "clients"
    folder.mkdir()
    for file in SHIPPED_CLIENTS.glob("*.yaml"):
        (folder / file.name).write_text(file.read_text())
    (folder / "board_ideas.yaml").write_text(
        "query: {source: request}\nsizes: {walk: 500, lightweight: 100, answer: 10}\n"
    )
    opened = open_project(write(tmp_path, clients="clients"))
    assert len(opened.clients) == 6
    assert opened.clients["board_ideas"].sizes.answer == 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sizes: {walk: 10, lightweight: 20, answer: 5}", "a funnel narrows"),
        ("walk: {stepz: 3}", "walk.stepz: unknown key; did you mean 'steps'"),
        ("name: Home Feed", "name: String should match"),
    ],
)
def test_a_wrong_client_file_says_what(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_client(path)


def test_a_client_may_only_name_known_actions(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("utility: {applaud: 1.0}")
    with pytest.raises(ConfigError, match="utility: unknown action 'applaud'"):
        load_clients(tmp_path, DEFAULT_ACTIONS)
