"""The server that faults are made on: `pinfunnel serve`, as users start it, and its processes by what they do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import yaml

from apps.faults.nodes import ClusterUnderFault
from cluster.ports import free_ports
from cluster.processes import below, marked, name_of
from serving.deploy.process_names import is_one

START_SECONDS = 300.0
END_SECONDS = 35.0
MARK = "PINFUNNEL_UNDER_FAULT"
"""Environment variable by which all that a server has started is found again."""


class ServerUnderFault:
    """One process of `pinfunnel serve`, and what it has started."""

    def __init__(
        self,
        project: Path,
        serving: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
        cluster: ClusterUnderFault | None = None,
    ):
        """Starts it with these settings; `up` waits for it. `cluster`: what it joins instead of a Ray of its own."""
        [self.port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        settings = yaml.safe_load(project.read_text())
        settings["serving"] |= serving
        project.write_text(yaml.safe_dump(settings, sort_keys=False))
        self.log = project.parent / f"serve-{self.port}.log"
        command = [
            sys.executable,
            "-P",
            "-m",
            "pinfunnel",
            "serve",
            "--project",
            str(project),
            "--port",
            str(self.port),
        ]
        command += ["--address", cluster.address] if cluster else []
        self.cluster = cluster
        with self.log.open("wb") as log:
            env = {**os.environ, **(environment or {}), MARK: str(self.port)}
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=project.parent)

    def up(self) -> None:
        """Wait until it answers. Raises RuntimeError with the end of its log when it does not."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise RuntimeError(f"no server: {self.log.read_text(errors='replace')[-2000:]}")

    def health(self) -> dict[str, Any]:
        """What it says of itself; empty when it does not answer."""
        try:
            told: dict[str, Any] = httpx.get(f"{self.url}/readyz", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return {}
        return told

    def find(self, what: str) -> list[int]:
        """Its processes of one kind: replicas by deployment (`ingress`, `walk`, …), `proxy`, `controller`."""
        roots = [self.process.pid, *([self.cluster.process.pid] if self.cluster else [])]
        return [pid for root in roots for pid in below(root) if is_one(name_of(pid), what)]

    def stop(self) -> None:
        """SIGTERM; whatever is left after `END_SECONDS` is killed."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
        for pid in marked(MARK, str(self.port)):
            kill(pid, signal.SIGKILL)
        self.process.wait()


def kill(pid: int, how: int) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, how)
