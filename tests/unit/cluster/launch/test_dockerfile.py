"""The image can be built as far as that can be seen without Docker: its files, its commands, its user and its probe."""

import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT

DOCKERFILE = ROOT / "cluster/launch/Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions() -> list[tuple[str, str]]:
    """(instruction, what follows it), comments left out and continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def copied() -> list[tuple[list[str], str]]:
    words = [[word for word in rest.split() if not word.startswith("--")] for rest in of("COPY")]
    return [(sources, target) for *sources, target in words]


def ignored() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What the COPY lines put into the image's folder."""
    skip = shutil.ignore_patterns("__pycache__")
    for sources, target in copied():
        for source in sources:
            assert (ROOT / source).exists(), f"COPY {source}: not there"
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / target, ignore=skip)
            else:
                shutil.copy(ROOT / source, tmp_path / target)
    return tmp_path


def test_what_is_copied_is_tracked_and_not_ignored() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    for source in (source for sources, _ in copied() for source in sources):
        assert source in tracked or any(name.startswith(f"{source}/") for name in tracked), source
        assert not [pattern for pattern in ignored() if fnmatch(source, pattern)], source
    with_data = [pattern for pattern in ignored() if pattern in ("apps", "cluster", "serving", "training")]
    assert not with_data


def test_what_is_made_or_of_people_stays_outside() -> None:
    for name in (".git", ".venv", ".venv-mlflow", ".mypy_cache", "pinfunnel-home", "shared", "tests"):
        assert [pattern for pattern in ignored() if fnmatch(name, pattern)], name


def test_the_package_builds_from_what_is_copied(context: Path) -> None:
    [run] = of("RUN")
    words = re.match(r'python -m pip install --no-cache-dir -c constraints.txt -e "\.\[\$\{EXTRAS\}\]"$', run)
    assert words, "this test runs that command: change both"
    [extras] = [rest.partition("=")[2] for rest in of("ARG") if rest.startswith("EXTRAS=")]
    assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "-c", "constraints.txt", "-e", f".[{extras}]"]
    rehearsal = ["--dry-run", "--no-deps", "--no-build-isolation", "--ignore-installed", "--disable-pip-version-check"]
    done = subprocess.run([*command, *rehearsal], cwd=context, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"pinfunnel-{PROJECT['project']['version']}" in done.stdout
    packages = {path.name for path in context.iterdir() if path.is_dir() and not path.name.endswith(".egg-info")}
    assert packages == {"apps", "cluster", "serving", "training"}


def test_nothing_runs_as_root() -> None:
    users = of("USER")
    assert users
    assert not {"root", "0"} & set(users)
    assert all("--chown=ray:users" in rest for rest in of("COPY"))
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("RUN")


def test_the_probe_asks_a_server_whether_it_lives() -> None:
    [probe] = of("HEALTHCHECK")
    command = json.loads(probe[probe.index("[") :])
    asked = []

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    here = [sys.executable, *(word.replace(":8000", f":{server.server_port}") for word in command[1:])]
    try:
        assert subprocess.run(here, capture_output=True).returncode == 0
        Handler.status = 503
        assert subprocess.run(here, capture_output=True).returncode != 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert subprocess.run(here, capture_output=True).returncode != 0, "no server"
    assert asked == ["/healthz", "/healthz"]
    assert "8000" in "".join(of("EXPOSE"))


def test_what_it_starts_is_a_command_of_ours() -> None:
    from typer.testing import CliRunner

    from apps.cli import app

    [command] = (json.loads(rest) for rest in of("CMD"))
    name, *words = command
    assert name == "pinfunnel"
    help_of = CliRunner().invoke(app, [words[0], "--help"])
    assert help_of.exit_code == 0
    assert all(word in help_of.output for word in words if word.startswith("--"))
