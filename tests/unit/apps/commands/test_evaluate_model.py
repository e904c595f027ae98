"""`evaluate model`: what cannot be compared is one line that says why, before anything is read of the logs."""

import pytest
from typer.testing import CliRunner

from apps.cli import app
from tests.worlds.funnel import opened_world, publish_full, publish_lightweight


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    opened = opened_world(folder)
    process = opened.new_process()
    versions = {
        "home": publish_lightweight(process.store, process.features, "homefeed", "graph_rank"),
        "search": publish_lightweight(process.store, process.features, "search", "graph_rank"),
        "full": publish_full(process, opened.clients),
        "graph": process.store.versions("graph")[-1],
    }
    with process.store.write("lightweight/homefeed", {"schema_hash": "of another day"}) as (_, version):
        versions["old"] = version
    return {"project": str(folder / "pinfunnel.yaml"), **versions}


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ("home", "nothing", "no ranker of version nothing under"),
        ("nothing", "home", "{home}"),
        ("home", "home", "is named twice"),
        ("home", "search", "{home} is lightweight/homefeed, {search} is lightweight/search"),
        ("full", "home", "only versions of one ranker can be compared"),
        ("home", "graph", "{graph} is a graph, not a ranker"),
        ("home", "old", "was made for feature schema of another day"),
    ],
)
def test_what_cannot_be_compared_is_one_line(stored: dict[str, str], a: str, b: str, says: str) -> None:
    versions = [stored.get(name, name) for name in (a, b)]
    result = CliRunner().invoke(app, ["evaluate", "model", *versions, "-p", stored["project"]])
    assert result.exit_code == 1
    assert says.format(**stored) in " ".join(result.output.split())
    assert "Traceback" not in result.output
