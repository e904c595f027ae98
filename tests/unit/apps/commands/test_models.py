"""`pinfunnel models` on a project with every kind: the commands that docs/operations.md prints, and what they say."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from apps.cli import app
from cluster.store.bundles import BundleStore
from tests.worlds.bundles import world_of_all_kinds
from tests.worlds.funnel import publish_lightweight

KIND = "lightweight/homefeed"
PAGE = (Path(__file__).parents[4] / "docs" / "operations.md").read_text()
PRINTED = re.findall(r"^pinfunnel (models .*)$", PAGE, re.MULTILINE)


class Site:
    def __init__(self, folder: Path):
        process = world_of_all_kinds(folder).new_process()
        self.store: BundleStore = process.store
        self.versions = [str(self.store.current(KIND))]
        self.versions.append(publish_lightweight(process.store, process.features, "homefeed", "graph_visits"))
        self._project = ["--project", str(folder / "pinfunnel.yaml")]

    def run(self, line: str, *more: str) -> Result:
        return CliRunner().invoke(app, [*shlex.split(line), *more, *self._project])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_printed_commands_run_in_their_order(site: Site) -> None:
    older, newer = sorted(site.versions, key=lambda version: version == site.store.current(KIND))
    assert len(PRINTED) >= 8
    for line in PRINTED:
        line = line.replace("20260131T120000-abc123", newer if "publish" in line else older)
        if "rollback" in line:
            line += f" --to {older}"  # made within one second, neither is the one before
        if "publish" in line:
            line += " --anyway"  # it was taken back the line before
        done = site.run(line)
        assert done.exit_code == 0, f"{line}: {done.output}"
    assert site.store.current(KIND) == newer
    assert site.store.standings.of(KIND).held is None


def test_figures_are_written_for_scripts(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    current = site.store.current(KIND)
    assert site.run("models list", "--json", str(out)).exit_code == 0
    listed = json.loads(out.read_text())
    assert listed[KIND]["current"] == current
    assert {one["version"] for one in listed[KIND]["versions"]} == set(site.versions)
    assert site.run(f"models show {KIND}", "--json", str(out)).exit_code == 0
    shown = json.loads(out.read_text())
    assert shown["version"]["version"] == current
    assert sum(shown["importance"].values()) == pytest.approx(1.0)
    assert site.run(f"models diff {KIND} {site.versions[0]}", "--json", str(out)).exit_code == 0
    assert json.loads(out.read_text()) == []


@pytest.mark.parametrize(
    "words", ["show nobody", f"show {KIND} 1999", f"rollback {KIND} --to x", f"release {KIND}", "hold nobody"]
)
def test_what_is_not_there_is_one_line(site: Site, words: str) -> None:
    done = site.run(f"models {words}")
    assert done.exit_code == 1
    assert done.output.startswith("error: ") or "error: " in done.output
    assert "Traceback" not in done.output
