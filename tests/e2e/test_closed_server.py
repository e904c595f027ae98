"""A whole server as others see it: what listens where, who is let in, what is written."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from apps.commands.serve import SERVER
from apps.project import open_project
from cluster.catalog.build import build_catalog
from cluster.haproxy import HEADER_SECONDS
from cluster.ports import free_ports, is_loopback
from cluster.processes import below, marked
from tests.e2e.test_server_life import plain_environment
from tests.worlds import calls
from tests.worlds.keys import KeyFiles
from tests.worlds.toy import toy_project


class ClosedServer:
    """`pinfunnel serve` of a toy project with keys, every stage a deployment of its own."""

    def __init__(self, folder: Path, scratch: Path):
        [self.port] = free_ports(1)
        files = KeyFiles(folder)
        self.keys = {scope: files.add(scope, scope) for scope in ("recommend", "events", "admin")}
        serving = {"port": self.port, "shape": "separate"}
        path = toy_project(folder, settings={"serving": serving, "access": {"keys": "keys.yaml"}})
        opened = open_project(path)
        build_catalog(opened.project, opened.new_process().store, in_memory=True)
        self.url = f"http://127.0.0.1:{self.port}"
        self.scratch = scratch
        self.log = folder / "serve.log"
        environment = {**plain_environment(), "RAY_TMPDIR": str(scratch)}
        command = [sys.executable, "-m", "pinfunnel", "serve", "--project", str(path)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)

    def wait(self) -> None:
        for _ in range(600):
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            with suppress(httpx.HTTPError):
                if calls.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return
            time.sleep(0.2)
        raise AssertionError(self.log.read_text()[-2000:])

    def pids(self) -> set[int]:
        return {self.process.pid, *below(self.process.pid), *marked(SERVER, str(self.process.pid))}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClosedServer]:
    scratch = Path(tempfile.mkdtemp(dir="/tmp", prefix="pf"))  # a socket's path must be short
    made = ClosedServer(tmp_path_factory.mktemp("closed"), scratch)
    try:
        made.wait()
        yield made
    finally:
        for pid in made.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        made.process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def listening(pids: set[int]) -> dict[str, set[str]]:
    """Programs by the addresses that they listen on, as `ss -ltnp` shows them."""
    found: dict[str, set[str]] = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    name = " ".join(process.cmdline()[:1])[-60:]
                    address = connection.laddr.ip.removeprefix("::ffff:")  # IPv4 on a socket of both kinds
                    found.setdefault(address, set()).add(f"{name}:{connection.laddr.port}")
    return found


def test_all_that_it_starts_listens_on_this_machine_alone(server: ClosedServer) -> None:
    found = listening(server.pids())
    names = " ".join(sorted(name for names in found.values() for name in names))
    for part in ("haproxy", "gcs_server", "raylet", "ServeReplica:pinfunnel:walk", "ServeReplica:pinfunnel:ingress"):
        assert part in names, names
    print(sorted(f"{ip} {name}" for ip, names in found.items() for name in names))
    assert {ip: names for ip, names in found.items() if not is_loopback(ip)} == {}


def test_only_a_stage_with_a_network_has_loaded_torch(server: ClosedServer) -> None:
    """Which takes seconds of a start and 200 MB of each process."""
    having = {}
    for pid in server.pids():
        with suppress(OSError, psutil.NoSuchProcess):
            name = " ".join(psutil.Process(pid).cmdline())
            having[name] = "libtorch" in Path(f"/proc/{pid}/maps").read_text()
    replicas = {name.split(":")[4]: loaded for name, loaded in having.items() if "ServeReplica:pinfunnel:" in name}
    assert replicas == {"walk": False, "lightweight": False, "full": True, "events": False, "ingress": False}


def test_keys_hold_through_the_proxy_and_are_written_nowhere(server: ClosedServer) -> None:
    feed = f"{server.url}/v1/notifications/recommendations"
    for scope, url in (("recommend", feed), ("admin", f"{server.url}/v1/models"), ("admin", f"{server.url}/healthz")):
        method = "POST" if scope == "recommend" else "GET"
        for held, key in server.keys.items():
            body = {} if method == "POST" else None
            status = calls.request(method, url, json=body, headers={"x-api-key": key}, timeout=30).status_code
            assert status == (200 if held == scope or url.endswith("/healthz") else 403)
    assert calls.post(feed, json={}, headers={"x-api-key": "x"}).status_code == 401
    for key in server.keys.values():  # where it does not belong
        calls.post(feed, json={"user_id": key}, headers={"x-api-key": key})
        calls.get(f"{server.url}/v1/models?x-api-key={key}")
    time.sleep(2.0)
    places = [path for path in server.scratch.rglob("*") if path.is_file()]
    assert any("serve" in path.name for path in places)
    for path in [*places, server.log]:
        data = path.read_bytes()
        assert not [scope for scope, key in server.keys.items() if key.encode() in data], path


def test_who_does_not_end_the_headers_is_cut_off(server: ClosedServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(3 * HEADER_SECONDS)
        connection.sendall(b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        said = connection.recv(1000)
        assert said == b"" or b" 408 " in said
