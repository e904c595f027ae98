"""The main path of a project in a process that has no torch: every command of it, the API, and the console.

python -m tests.worlds.without_torch FOLDER_OF_TOY_PROJECT

prints JSON: exit code and text of each command, and what the API and the console answered.
"""

import asyncio
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import httpx

from apps.cli import app
from apps.project import Opened, open_project
from apps.web.standalone import ConsoleAlone
from apps.world.in_process import URL, InProcess
from apps.world.plan import Arm, SimulationPlan
from apps.world.simulate import Simulator
from cluster import session
from tests.worlds.toy import toy_world

BEFORE = ("validate", "build-graph")
BEHIND_TRAFFIC = (
    "train lightweight --all",
    "train full",
    "evaluate lightweight --client homefeed",
    "evaluate full",
    "models list",
    "recommend --client homefeed --users {0}/who.txt --out {0}/answers --workers 1",
)

COMMANDS = (*BEFORE, *BEHIND_TRAFFIC)

BLOCKER = """
import sys


class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")


sys.meta_path.insert(0, NoTorch())
"""
"""As `sitecustomize.py` in a folder on PYTHONPATH: neither a process nor one that it starts has torch."""


def main(folder: Path) -> dict[str, Any]:
    """Exit code and text by command; the answers of the API and the console."""
    project = folder / "pinfunnel.yaml"
    (folder / "who.txt").write_text("".join(f"{user}\n" for user in toy_world().user_ids.tolist()[:3]))
    told: dict[str, Any] = {"commands": {}}

    def run(command: str) -> None:
        words = [*command.format(folder).split(), "--project", str(project)]
        text = io.StringIO()
        with redirect_stdout(text), redirect_stderr(text):
            code = app(words, standalone_mode=False)
        told["commands"][command] = [code or 0, text.getvalue()]

    with session.session(num_cpus=2, dashboard=False):
        for command in BEFORE:
            run(command)
        opened = open_project(project)
        told["traffic"] = _traffic(opened)
        for command in BEHIND_TRAFFIC:
            run(command)
    told["ready"], told["answer"] = asyncio.run(_asked(opened))
    told["console"] = asyncio.run(_looked_at(opened))
    told["torch"] = "torch" in sys.modules
    return told


def _traffic(opened: Opened) -> int:
    world = toy_world()
    users = list(range(len(world.user_ids)))
    plan = SimulationPlan(users, 300, 0.0, 1.0, (Arm("plain", "ranked"),), seed=0)
    with InProcess(opened) as inside:
        return int(Simulator(world, URL, transport=inside.transport).run(plan).requests.sum())


async def _asked(opened: Opened) -> tuple[dict[str, Any], dict[str, Any]]:
    body = {"user_id": int(toy_world().user_ids[0]), "at": toy_world().moment(0.5).isoformat(), "explain": True}
    with InProcess(opened) as inside:
        async with httpx.AsyncClient(transport=inside.transport, base_url=URL) as http:
            ready = await http.get("/readyz")
            answer = await http.post("/v1/homefeed/recommendations", json=body)
    return {"status": ready.status_code, **ready.json()}, {"status": answer.status_code, **answer.json()}


async def _looked_at(opened: Opened) -> dict[str, int]:
    alone = ConsoleAlone(opened)
    alone.watch()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(alone.app), base_url="http://127.0.0.1") as http:
            pages = ("/console", "/console/models", "/console/health")
            return {page: (await http.get(page, follow_redirects=True)).status_code for page in pages}
    finally:
        alone.close()


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
