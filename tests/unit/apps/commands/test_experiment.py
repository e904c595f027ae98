"""`pinfunnel experiment`: the file is checked, started, changed and stopped; what is wrong is one line."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from apps.cli import app
from tests.worlds.funnel import opened_world, publish_lightweight

PAGE = (Path(__file__).parents[4] / "docs" / "experimenting.md").read_text()
PRINTED = re.findall(r"^pinfunnel (experiment (?:check|start|stop|list|assign).*)$", PAGE, re.MULTILINE)


class Site:
    def __init__(self, folder: Path):
        self.opened = opened_world(folder)
        self.file = folder / "experiments.yaml"
        self._project = ["--project", str(folder / "pinfunnel.yaml")]

    def run(self, line: str) -> Result:
        return CliRunner().invoke(app, [*shlex.split(line), *self._project])

    def said(self, line: str) -> str:
        done = self.run(line)
        assert done.exit_code == 0, done.output
        return done.output


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_printed_commands_run_on_the_printed_file(site: Site) -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    site.file.write_text(found.group(1))
    assert len(PRINTED) >= 5
    for line in PRINTED:
        assert site.said(line).startswith(("more_boards", "7: "))
    assert "to " in site.said("experiment list")


def test_a_process_of_its_own_knows_the_sources(site: Site) -> None:
    """Tests have imported all of serving long before; a user's shell has not."""
    site.file.write_text("e: {clients: [homefeed], arms: {c: {}, t: {}}}")
    project = str(site.file.parent / "pinfunnel.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "pinfunnel", "experiment", "check", "--project", project], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("e: users of homefeed")


def test_traffic_grows_and_other_changes_are_refused(site: Site, tmp_path: Path) -> None:
    text = "e: {{clients: [homefeed], traffic: {}, arms: {{c: {{}}, t: {{set: {{sizes.answer: {}}}}}}}}}"
    site.file.write_text(text.format(0.2, 7))
    site.said("experiment start e")
    site.file.write_text(text.format(0.9, 7))
    assert "[0, 0.9)" in site.said("experiment start e")
    site.file.write_text(text.format(0.9, 8))
    refused = site.run("experiment start e")
    assert refused.exit_code == 1
    assert "it runs with other arms" in " ".join(refused.output.split())
    out = tmp_path / "out.json"
    site.said(f"experiment list --json {out}")
    assert json.loads(out.read_text())["e"]["experiment"]["traffic"] == 0.9
    site.file.unlink()
    told = site.said("experiment assign e 1 2 3 4 5 6 7 8 9")  # of what runs, whatever the file says
    assert "1: " in told
    assert "e/t" in told
    assert "e/c" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("e: {clients: [homefed], arms: {c: {}, t: {}}}", "did you mean 'homefeed'"),
        ("e: {clients: [homefeed], arms: {c: {}, t: {set: {sizes.answer: 9999}}}}", "a funnel narrows"),
        ("e: {clients: [homefeed], traffic: .nan, arms: {c: {}, t: {}}}", "traffic"),
        ("".join(f"{n}: {{clients: [homefeed], layer: l, arms: {{c: {{}}, t: {{}}}}}}\n" for n in "ef"), "overlaps"),
    ],
)
@pytest.mark.parametrize("command", ["experiment check", "experiment start e", "validate"])
def test_what_is_wrong_is_named_and_nothing_starts(site: Site, text: str, told: str, command: str) -> None:
    site.file.write_text(text)
    refused = site.run(command)
    assert refused.exit_code == 1
    assert told in " ".join(refused.output.split())
    assert "Traceback" not in refused.output
    assert "no experiment was started" in site.said("experiment list")


def test_versions_that_arms_name_are_not_pruned(site: Site) -> None:
    process = site.opened.new_process()
    kind = "lightweight/homefeed"
    versions = [publish_lightweight(process.store, process.features, "homefeed", "graph_rank") for _ in range(3)]
    pinned, gone, _ = versions
    site.file.write_text(f"e: {{clients: [homefeed], arms: {{c: {{}}, t: {{versions: {{{kind}: {pinned}}}}}}}}}")
    site.said("experiment start e")
    for manifest in Path(process.store.root).rglob("manifest.json"):
        os.utime(manifest, (0, 0))
    site.said("models prune --keep 1")
    left = process.store.versions(kind)
    assert pinned in left
    assert str(process.store.current(kind)) in left
    site.said("experiment stop e")
    site.said("models prune --keep 1")
    assert set(process.store.versions(kind)) < {*left, gone}


def test_what_is_not_there_is_said(site: Site) -> None:
    for command in ("check", "start e", "stop e", "assign e 7"):
        refused = site.run(f"experiment {command}")
        assert refused.exit_code == 1
        assert refused.output.strip()
    site.file.write_text("more_boards: {clients: [homefeed], arms: {c: {}, t: {}}}")
    assert "did you mean 'more_boards'" in " ".join(site.run("experiment start more_bords").output.split())
    assert "no experiment 'x' runs" in " ".join(site.run("experiment assign x 7").output.split())
    assert site.run("experiment assign more_boards seven").exit_code == 1
