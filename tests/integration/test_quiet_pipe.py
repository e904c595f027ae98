"""What a command leaves in a file: its own lines, and none of Ray's, although Ray Data did the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apps.world.in_process import InProcess
from tests.architecture.repository import ROOT
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world, some_user

RAYS = ("ray-data", "Dataset", "Running", "it/s", "Execution", "Started a local Ray", "(pid=", "\x1b[", "\r")


@pytest.mark.parametrize("asked", [False, True], ids=["as it comes", "asked for"])
def test_a_file_gets_no_progress_of_ray_unless_it_is_asked_for(tmp_path: Path, asked: bool) -> None:
    opened = opened_world(tmp_path)
    folder = Path(opened.project.home).parent
    with InProcess(opened) as inside:  # its end writes the log
        for _ in range(3):
            assert Face(inside.app).post("/v1/homefeed/recommendations", json={"user_id": some_user(opened)}).is_success
    command = "evaluate sources --log --client homefeed"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    for name in ("RAY_DATA_DISABLE_PROGRESS_BARS", "RAY_DATA_LOGGING_CONFIG"):
        env.pop(name, None)
    if asked:
        env["RAY_DATA_DISABLE_PROGRESS_BARS"] = "0"
    run = [sys.executable, "-m", "pinfunnel", *command.split()]
    ran = subprocess.run(run, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    found = [line for line in (ran.stdout + ran.stderr).splitlines(keepends=True) if any(sign in line for sign in RAYS)]
    assert bool(found) is asked, found
    assert "walk" in ran.stdout
