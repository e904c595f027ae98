"""Three machines, a checkout and a project on them: one cluster for all files here, which run in their order."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from tests.hosts.calls import KEY
from tests.hosts.head_state import redis_for_the_head
from tests.hosts.hosts import SHARED, Machines, machines
from tests.worlds.toy import toy_project

ROOT = Path(__file__).parents[2]
NAMES = ("head.example.net", "worker-1.example.net", "worker-2.example.net")


def checkout(folder: Path) -> Path:
    """What git knows of this checkout, with its changes, and a project in it as a user keeps one."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in files.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    code = checkout(tmp_path_factory.mktemp("code") / "pinfunnel")
    toy = toy_project(tmp_path_factory.mktemp("toy"))
    settings = yaml.safe_load(toy.read_text())
    for source in settings["data"].values():
        source["path"] = f"{SHARED}/toy/{Path(source['path']).name}"
    settings |= {"home": f"{SHARED}/home", "access": {"keys": f"{SHARED}/keys.yaml"}}
    (code / "pinfunnel.yaml").write_text(yaml.safe_dump(settings))
    with machines(NAMES, code, Path(sys.prefix)) as made:
        shutil.copytree(toy.parent, made.root / "shared" / "toy")
        entry = {"name": "all", "sha256": sha256(KEY.encode()).hexdigest(), "scopes": ["recommend", "events", "admin"]}
        (made.root / "shared" / "keys.yaml").write_text(yaml.safe_dump({"keys": [entry]}))
        subprocess.run(["chmod", "-R", "a+rX", str(made.root / "shared")], check=True)
        with redis_for_the_head(made):
            yield made
