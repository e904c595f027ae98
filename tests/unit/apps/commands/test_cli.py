"""The command line: help, exit codes, one clear line for what a user got wrong, figures as JSON."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from apps.backfill.ledger import Ledger
from apps.cli import app
from apps.project import open_project
from tests.worlds.filters import filtered_world, holds, pin_rows_of
from tests.worlds.funnel import opened_world
from tests.worlds.toy import toy_project

ROOT = Path(__file__).parents[4]
COMMANDS = [
    "validate", "build-graph", "add-edges", "walk", "backfill", "simulate", "serve", "bench", "demo", "compact-logs",
]  # fmt: skip
GROUPS = [
    "train lightweight",
    "train full",
    "evaluate retrieval",
    "evaluate lightweight",
    "evaluate full",
    "evaluate strategies",
    "evaluate stages",
    "evaluate model",
    "bundles prune",
    "models list",
    "models show",
    "models diff",
    "models publish",
    "models rollback",
    "models hold",
    "models release",
    "models prune",
    "retrain",
]


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS])
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert len(result.output) > 300


def test_validate_counts_and_passes(tmp_path: Path) -> None:
    project, out = toy_project(tmp_path), tmp_path / "out.json"
    result = CliRunner().invoke(app, ["validate", "-p", str(project), "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())


def test_a_truncated_file_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    project = toy_project(tmp_path)
    file = next((tmp_path / "edges").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:200])
    result = CliRunner().invoke(app, ["validate", "-p", str(project)])
    assert result.exit_code == 1
    assert file.name in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["validate", "-p", "nowhere.yaml"], 1, "no such file"),
        (["train", "lightweight"], 2, "--client"),
        (["add-edges", "-p", "{project}"], 1, "there is nothing to add: give --edges"),
        (["add-edges", "-p", "{project}", "--edges", "nowhere"], 1, "nowhere: does not exist: set `--edges`"),
        (["bench", "nothing"], 2, "no benchmark"),
        (["walk"], 2, "--pin"),
        (["backfill", "-p", "{project}", "--client", "nobody"], 1, "unknown client 'nobody'"),
        (["backfill", "-p", "{project}", "--since", "yesterday"], 1, "--since"),
        (["walk", "-p", "{project}", "--pin", "12"], 1, "12 is not in the graph"),
        (["walk", "-p", "{project}", "--pin", "abc"], 1, "pin ids are int64"),
        (["walk", "-p", "{project}", "--pin", "12", "--filter", "locale"], 1, "--filter: is no JSON"),
    ],
)
def test_wrong_use_is_told_apart_from_wrong_data(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    opened_world(tmp_path)
    filled = [a.format(project=tmp_path / "pinfunnel.yaml") for a in arguments]
    result = CliRunner().invoke(app, filled)
    assert result.exit_code == code
    assert says in " ".join(result.output.split())


def test_walk_prints_provenance(tmp_path: Path) -> None:
    pin = str(opened_world(tmp_path).new_process().catalogs.current.graph.pin_ids.ids_of([5])[0])
    out = tmp_path / "walk.json"
    project = str(tmp_path / "pinfunnel.yaml")
    result = CliRunner().invoke(app, ["walk", "-p", project, "--pin", f"{pin}:2", "--top", "7", "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert len(json.loads(out.read_text())["pins"]) == 7
    assert pin in result.output


def test_a_walk_finds_pins_that_match_its_filter_and_no_others(tmp_path: Path) -> None:
    world = filtered_world(tmp_path)
    pin = str(world.new_process().catalogs.current.graph.pin_ids.ids_of([5])[0])
    rows, out = pin_rows_of(world), tmp_path / "walk.json"
    asked = {"and": [{"attribute": "image_quality", ">": 0.5}, {"attribute": "domain", "exists": True}]}
    walk = ["walk", "-p", str(tmp_path / "pinfunnel.yaml"), "--pin", pin, "--top", "2000", "--json", str(out)]
    found = []
    for more in ([], ["--filter", json.dumps(asked)]):
        result = CliRunner().invoke(app, [*walk, *more])
        assert result.exit_code == 0, result.output
        found.append({one["pin_id"] for one in json.loads(out.read_text())["pins"]})
    assert found[1] == {one for one in found[0] if holds(asked, rows[one])}
    assert found[1] < found[0]
    unknown = CliRunner().invoke(app, [*walk, "--filter", '{"attribute": "domains", "=": "a"}'])
    assert unknown.exit_code == 1
    assert "did you mean 'domain'?" in " ".join(unknown.output.split())


def test_add_edges_publishes_a_graph_that_has_them(tmp_path: Path) -> None:
    opened = opened_world(tmp_path)
    before = opened.new_process().catalogs.current
    pins, board = before.graph.pin_ids.ids_of(np.array([0, 1])), before.graph.board_ids.ids_of(np.array([0]))[0]
    day = tmp_path / "day"
    day.mkdir()
    pq.write_table(pa.table({"board_id": [10**9, 10**9, board], "pin_id": [*pins, -1]}), day / "part.parquet")
    project, out = str(tmp_path / "pinfunnel.yaml"), tmp_path / "out.json"
    arguments = ["add-edges", "-p", project, "--edges", str(day), "--json", str(out)]
    kept = CliRunner().invoke(app, [*arguments, "--no-publish"])
    assert kept.exit_code == 0, kept.output
    assert opened.new_process().store.current("graph") == before.version
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert figures["added"] == {"edges": 2, "pins": 0, "boards": 1}
    assert figures["version"] == opened.new_process().store.current("graph")
    assert "added: 2 edges, 0 pins, 1 boards" in result.output
    assert "edges: 1 rows dropped: pin_id is not among the pins" in result.output
    opened.new_process().sources.load(figures["version"])  # as a running server does when the pointer moves
    assert opened.new_process().sources.version == figures["version"]


def test_bench_lists_what_there_is() -> None:
    result = CliRunner().invoke(app, ["bench"])
    assert result.exit_code == 0
    assert {"walk", "forest", "build"} <= set(result.output.split())


def test_compact_logs_merges_files_and_keeps_every_event(tmp_path: Path) -> None:
    opened = opened_world(tmp_path)
    moment = datetime(2026, 1, 4, tzinfo=UTC)
    events = opened.new_process().event_log()
    for name in ("a", "b", "c"):
        user, pin = 1, int(opened.new_process().catalogs.current.graph.pin_ids.ids_of(np.array([0]))[0])
        event = {"event_id": name, "user_id": user, "pin_id": pin, "action": "save", "occurred_at": moment}
        assert events.append([event]).accepted == 1
        events.flush()
    events.close()
    assert len(opened.new_process().logs.event_files().paths) == 3
    out = tmp_path / "out.json"
    settings = next(tmp_path.rglob("pinfunnel.yaml"))
    result = CliRunner().invoke(app, ["compact-logs", "-p", str(settings), "--keep-hours", "0", "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text()) == {"merged": 3, "written": 1, "removed": 0, "expired": 0}
    assert opened.new_process().logs.read_events()[0]["event_id"].to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize("arguments", [["-h"], ["walk", "-h"], ["train", "-h"], ["evaluate", "full", "-h"]])
def test_short_help_works_everywhere(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_version_names_what_an_error_report_needs() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    first, second = result.output.splitlines()
    assert re.fullmatch(r"pinfunnel \d+\.\d+\.\d+", first)
    assert all(name in second for name in ("Python 3.", "ray 2.", "torch 2.", "xgboost-cpu "))


def run_python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_python_m_pinfunnel_is_the_command() -> None:
    ran = run_python("-m", "pinfunnel", "evaluate", "--help")
    assert ran.returncode == 0, ran.stderr
    assert "pinfunnel evaluate" in ran.stdout


def test_help_loads_nothing_heavy() -> None:
    heavy = ["numba", "numpy", "pyarrow", "ray", "torch", "xgboost"]
    ran = run_python("-c", f"import sys, apps.cli; print([name for name in {heavy} if name in sys.modules])")
    assert ran.stdout.strip() == "[]", ran.stderr


TOO_EARLY = """
import sys
from cluster import session

def start(*_, **__):
    raise SystemExit("Ray would start before the settings were read")

session.start = start
from apps.cli import main
sys.argv = ["pinfunnel", *sys.argv[1:]]
try:
    main()
finally:
    print([name for name in ("numba", "ray", "torch", "xgboost") if name in sys.modules])
"""
SINCE = ["--since", "yesterday"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["build-graph", "-p", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["build-graph", "-p", "{project}"], "[no]where: does not exist"),
        (["serve", "-p", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["train", "lightweight", "-p", "{project}", "--client", "homefed"], "unknown client 'homefed'"),
        (["train", "lightweight", "-p", "{project}", "--all", *SINCE], "--since"),
        (["train", "full", "-p", "{project}", *SINCE], "--since"),
        (["evaluate", "lightweight", "-p", "{project}", "--client", "homefed"], "unknown client 'homefed'"),
        (["evaluate", "strategies", "-p", "{project}", "--client", "homefed"], "unknown client 'homefed'"),
        (["evaluate", "strategies", "-p", "{project}", "--strategy", "funel"], "no strategy is called 'funel'"),
        (["evaluate", "full", "-p", "{project}", *SINCE], "--since"),
        (["backfill", "-p", "{project}", "--client", "homefed"], "unknown client 'homefed'"),
        (["walk", "-p", "{project}", "--pin", "a", "--weight", "-1"], "--weight"),
    ],
)
def test_settings_are_checked_before_anything_heavy_loads(tmp_path: Path, arguments: list[str], says: str) -> None:
    project = tmp_path / "pinfunnel.yaml"
    project.write_text("data: {edges: {path: '[no]where'}}\n")
    ran = run_python("-c", TOO_EARLY, *(part.format(project=project) for part in arguments))
    assert ran.returncode == 1
    assert says in ran.stderr
    assert ran.stdout.strip() == "[]"


def test_bundles_are_pruned_but_for_those_that_something_names(tmp_path: Path) -> None:
    settings, out = toy_project(tmp_path), tmp_path / "out.json"
    process = open_project(settings).new_process()
    versions = []
    for _ in range(4):
        with process.store.write("graph", {}) as (folder, version):
            (folder / "data.txt").write_text("x")
        manifest = Path(process.store.root) / "graph" / version / "manifest.json"
        os.utime(manifest, (0, 0))  # not of today
        versions.append(version)
    named = min(set(versions) - {versions[-1]})
    job = Path(process.logs.root) / "backfill" / "homefeed" / "key"
    Ledger(job).note_graph(0, named)
    arguments = ["bundles", "prune", "-p", str(settings), "--keep", "1", "--json", str(out)]
    told = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert told.exit_code == 0, told.output
    assert len(process.store.versions("graph")) == 4
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    left = process.store.versions("graph")
    assert {named, versions[-1]} <= set(left)
    assert sorted(json.loads(out.read_text())["versions"]) == sorted(f"graph/{v}" for v in set(versions) - set(left))
    assert len(left) in (2, 3)  # the newest by name, where several are of one second, may be another than the published
