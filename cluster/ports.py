"""Ports of this machine: free ones, and the right of one server to the port that it answers on."""

import errno
import fcntl
import ipaddress
import os
import socket
from contextlib import ExitStack
from pathlib import Path

from cluster.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether who listens at `host` is reached from this machine alone. Of names only `localhost` is taken to be."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


class PortClaim:
    """A port that is this process's until it ends or lets go.

    Proxies share a port with whoever else listens on it (SO_REUSEPORT), and half of the requests then go to the other:
    so a port is claimed before anything is answered on it. Two servers that start at the same moment cannot both have
    the lock, and a program that is not pinfunnel is found by trying to listen.
    """

    def __init__(self, host: str, port: int, who: str, folder: Path | None = None):
        """`who` is told to the next that wants it. Raises ConfigError when the port is not free, with who has it."""
        folder = folder or run_folder()
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port
        self._file = (folder / f"port-{port}.lock").open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read(4096).decode("utf-8", "replace").strip()
            self._file.close()
            raise ConfigError(
                f"port {port} is taken by the server of {holder or 'another project'}: choose another one with --port, "
                "or as serving.port in pinfunnel.yaml"
            ) from None
        try:
            _must_be_free(host, port)
        except ConfigError:
            self._file.close()
            raise
        self._file.truncate(0)
        self._file.write(f"{who} (process {os.getpid()})".encode())
        self._file.flush()

    def __enter__(self) -> "PortClaim":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let the next have it; a second call does nothing."""
        self._file.close()


def run_folder() -> Path:
    """Where locks and sockets of this user's servers lie: short, as a socket's path has only a hundred characters.

    Closed to others. Raises ConfigError when somebody else has made it first, as all may in /tmp.
    """
    folder = Path(f"/tmp/pinfunnel-{os.getuid()}")  # nosec B108: whose it is, is looked at
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ConfigError(f"{folder} is another user's, who would have a say in this server's sockets: remove it")
    folder.chmod(0o700)  # an earlier version left it open
    return folder


def _must_be_free(host: str, port: int) -> None:
    try:
        # what a closed server leaves behind (TIME_WAIT) is no hindrance
        socket.create_server((host, port)).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} is in use by another program: choose another one with --port, or as serving.port in "
                "pinfunnel.yaml"
            ) from None
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}: choose others") from None
