"""The wheel has all that a user needs, and runs what README prints, where a user's own packages have our names, too."""

import email
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.worlds.as_printed import LONG_RUNNING, printed
from tests.worlds.toy import toy_project
from tests.worlds.without_torch import BLOCKER

ROOT = Path(__file__).parents[2]
FLOORS = ("apps", "cluster", "serving", "training")
NOT_PACKED = ("apps/bench/peers.txt",)
"""For a checkout only: peers that the benches compare with."""


def tracked() -> list[str]:
    listed = ["git", "ls-files", "-co", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git knows: a build leaves folders behind."""
    copy = tmp_path_factory.mktemp("copy")
    for name in tracked():
        if name.split("/")[0] in FLOORS or "/" not in name:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        ".",
    ]
    subprocess.run(command, cwd=copy, check=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a folder of its own; what it needs comes from this environment."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True)
    return target


def run(installed: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The script that pip made, as a user calls it from `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "300"}
    command = [sys.executable, str(installed / "bin" / "pinfunnel"), *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_every_file_of_the_floors_is_in_it(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {name for name in tracked() if name.split("/")[0] in FLOORS} | {"pinfunnel.py"}
    assert sorted(wanted - packed - set(NOT_PACKED)) == []
    ours = {name for name in packed if ".dist-info/" not in name}
    assert sorted(ours - wanted) == [], "nothing else is"


def test_it_works_where_a_users_own_packages_have_our_names(installed: Path, tmp_path: Path) -> None:
    toy_project(tmp_path)
    for name in FLOORS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('the user\\'s own {name} was imported')\n")
    where = run(installed, tmp_path, "--version")
    assert where.returncode == 0, where.stderr
    some_pin = str(pq.read_table(tmp_path / "edges")["pin_id"][0].as_py())
    for words in (("validate",), ("build-graph",), ("walk", "--pin", some_pin)):  # the second on Ray's workers
        done = run(installed, tmp_path, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    done = run(installed, tmp_path, "retrain")  # each step a process of its own
    assert done.returncode == 1
    assert "was imported" not in done.stdout + done.stderr
    assert "serve, simulate or backfill first" in done.stdout


def test_it_tells_its_extras_its_command_and_that_it_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        [about] = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(packed.read(about))
        command = packed.read(about.replace("METADATA", "entry_points.txt")).decode()
        assert all(f"{floor}/py.typed" in packed.namelist() for floor in FLOORS)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(told.get_all("Provides-Extra")) == set(extras)
    torch = [line for line in told.get_all("Requires-Dist") if line.startswith("torch")]
    assert torch == [line for line in torch if "extra ==" in line], "torch belongs to extras alone"
    assert torch
    assert "pinfunnel = apps.cli:main" in command


def as_printed(installed: Path, folder: Path, what: str, *before: Path) -> dict[str, Any]:
    """What `tests/worlds/as_printed.py` says of the installed wheel; `before` stand first on the path."""
    folders = os.pathsep.join(str(one) for one in (*before, installed))
    environment = {**os.environ, "PYTHONPATH": folders, "COLUMNS": "300"}
    script = shutil.copy(ROOT / "tests" / "worlds" / "as_printed.py", folder)  # Python looks beside a script first
    command = [sys.executable, str(script), str(ROOT / "README.md"), what]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_commands_that_the_readme_prints_run_from_it(installed: Path, tmp_path: Path) -> None:
    toy_project(tmp_path, settings={"ranker": {"size": "debug", "epochs": 2}, "gbdt": {"rounds": 8}})
    edges = pq.read_table(tmp_path / "edges")
    pq.write_table(edges.slice(0, 20), tmp_path / "day.parquet")
    told = as_printed(installed, tmp_path, "commands")
    assert list(told) == [one for one in printed((ROOT / "README.md").read_text()) if one != LONG_RUNNING]
    assert len(told) >= 8
    for command, (code, text) in told.items():
        assert code == 0, f"{command}: {text}"
    assert (tmp_path / "strategies.html").stat().st_size > 1000
    assert (tmp_path / "stages.html").stat().st_size > 1000


def test_the_demo_runs_from_it_where_no_torch_is_installed(installed: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(BLOCKER)
    told = as_printed(installed, tmp_path, "demo", blocked)
    assert told["requests"] == 480
    assert len(told["seconds"]) == 11, "ten steps and their sum"
    assert "pip install 'pinfunnel[full]'" in told["gate"]["full"]
    assert "9/10 Train the full ranker" in told["said"]
    assert "left out: " in told["said"]
    assert (tmp_path / "demo" / "report.html").exists()
    assert told["versions"]["full"] is None
