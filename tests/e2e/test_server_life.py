"""`pinfunnel serve` from its start to its end, as a process of its own: whose port it is, and how it stops."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from apps.commands.serve import SERVER
from apps.project import open_project
from cluster.catalog.build import build_catalog
from cluster.ports import free_ports
from cluster.processes import below, marked
from tests.worlds import calls
from tests.worlds.outside import soon
from tests.worlds.toy import toy_project

ENDS = 300.0
"""Seconds of patience. A server that does not end by itself kills itself, with another status."""


def plain_environment() -> dict[str, str]:
    """As a user's shell has it: without what an earlier test's Ray has set for this process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PINFUNNEL_"))}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2])}


class Site:
    """A toy project, and servers of it."""

    def __init__(self, folder: Path):
        [self.port] = free_ports(1)
        self.folder = folder
        self.path = toy_project(folder, settings={"serving": {"port": self.port, "shape": "colocated", "processes": 1}})
        opened = open_project(self.path)
        build_catalog(opened.project, opened.new_process().store, in_memory=True)
        self.url = f"http://127.0.0.1:{self.port}"
        self.running: list[subprocess.Popen[bytes]] = []

    def begin(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pinfunnel", "serve", "--project", str(self.path)]
        env = plain_environment()
        with (self.folder / f"serve-{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        self.running.append(process)
        return process

    def up(self, process: subprocess.Popen[bytes]) -> dict[str, str]:
        for _ in range(600):
            assert process.poll() is None, self.said()
            try:
                answer = calls.get(f"{self.url}/readyz", timeout=5)
                if answer.status_code == 200:
                    return answer.json()
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"no server: {self.said()}")

    def said(self) -> str:
        return (self.folder / f"serve-{len(self.running) - 1}.log").read_text()[-2000:]

    def ask(self) -> str:
        """What becomes of one request: its status, or `gone` where nobody listens."""
        try:
            return str(calls.post(f"{self.url}/v1/notifications/recommendations", json={}, timeout=30).status_code)
        except httpx.ConnectError:
            return "gone"
        except httpx.HTTPError as error:
            return type(error).__name__


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("life"))
    yield made
    for process in made.running:
        for pid in {*below(process.pid), *marked(SERVER, str(process.pid))}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def assert_on_the_dashboard(said: str) -> None:
    """What the dashboard's Serve page asks for is answered: a Ray on loopback once was looked for elsewhere."""
    page = re.search(r"Ray dashboard: (http://\S+)", said)
    assert page is not None, said
    applications = httpx.get(f"{page[1]}/api/serve/applications/", timeout=120).json()["applications"]
    assert applications["pinfunnel"]["status"] == "RUNNING"


def test_a_server_owns_its_port_and_closes_it_first(site: Site) -> None:
    process = site.begin()
    assert site.up(process)["home"] == open_project(site.path).project.home
    refused = subprocess.run(
        [sys.executable, "-m", "pinfunnel", "serve", "--project", str(site.path)],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert refused.returncode != 0
    said = " ".join((refused.stdout + refused.stderr).split())
    assert f"port {site.port} is taken by the server of" in said
    assert_on_the_dashboard(site.said())

    seen: Counter[str] = Counter()
    ended = threading.Event()

    def keep_asking() -> None:
        while not ended.is_set():
            seen[site.ask()] += 1

    asking = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in asking:
        thread.start()
    soon(lambda: seen["200"], lambda answered: answered >= 10)
    process.send_signal(signal.SIGTERM)
    status = process.wait(ENDS)
    ended.set()
    for thread in asking:
        thread.join()
    assert status == 0, site.said()
    assert seen["200"] > 0
    reset = seen.pop("ReadError", 0) + seen.pop("RemoteProtocolError", 0)
    assert reset <= len(asking), "at most those that the kernel had taken and the proxy had not, when it closed"
    assert set(seen) <= {"200", "429", "503", "gone"}, f"answered, told to try again, or no server: {seen}"
    assert seen["503"] > 0, seen


def test_another_starts_at_once_and_ends_even_when_ray_has_died(site: Site) -> None:
    process = site.begin()
    site.up(process)
    assert site.ask() == "200"
    raylets = [pid for pid in below(process.pid) if Path(f"/proc/{pid}/exe").resolve().name == "raylet"]
    assert raylets
    for pid in raylets:
        os.kill(pid, signal.SIGKILL)
    process.send_signal(signal.SIGTERM)
    process.wait(ENDS)
    for _ in range(50):  # the kernel takes a moment
        left = [pid for pid in marked(SERVER, str(process.pid)) if _status(pid) != "Z"]
        if not left:
            break
        time.sleep(0.1)
    assert left == [], "nothing is left behind"


def _status(pid: int) -> str:
    """Its state; `Z` for one that has ended."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"
