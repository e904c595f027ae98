"""An installation without torch: everything but the full ranker works, and what lacks it says what to install."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.architecture.repository import ROOT
from tests.worlds.funnel import opened_world, publish_full
from tests.worlds.without_torch import BLOCKER, COMMANDS

INSTALL = "needs torch, which is not installed: pip install 'pinfunnel[full]'"


def test_the_main_path_goes_without_torch_and_a_full_ranker_is_set_aside(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    world = opened_world(site)
    full = publish_full(world.new_process(), world.clients)  # by somebody who has torch
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "COLUMNS": "300"}
    command = [sys.executable, "-m", "tests.worlds.without_torch", str(site)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert not told["torch"]
    assert set(told["commands"]) == set(COMMANDS)
    for name, (code, text) in told["commands"].items():
        lacking = name in ("train full", "evaluate full")
        assert code == (1 if lacking else 0), f"{name}: {text}"
        if lacking:
            assert text.startswith("error: ")
            assert text.strip().endswith(INSTALL)
            assert len(text.strip().splitlines()) == 1
    assert told["traffic"] == 300
    assert "published" in told["commands"]["models list"][1]
    assert "3 answers" in told["commands"][COMMANDS[-1]][1]
    assert told["ready"]["status"] == "degraded"
    [problem] = told["ready"]["problems"]
    assert (problem["kind"], problem["version"]) == ("full", full)
    assert problem["reason"] == f"the full ranker {INSTALL}"
    assert told["answer"]["status"] == 200
    assert told["answer"]["pins"]
    assert told["answer"]["versions"]["full"] is None
    assert set(told["console"].values()) == {200}
