"""Start or join Ray, with every environment flag in place before Ray is imported. Knows nothing of graphs or models.

Ray reads its settings from the environment, in each process, when that process imports it; processes that Ray starts
inherit the environment of the one that started them. So this module imports Ray late, and `set_flags` comes first.
"""

import logging
import os
import shutil
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster import haproxy
from cluster.errors import ConfigError
from cluster.loopback import ray_stays_here
from cluster.worker_path import our_code_first

logger = logging.getLogger(__name__)

# cluster/launch/node.sh sets them on machines of a cluster (a test compares the two).
FLAGS: Mapping[str, str] = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",  # HAProxy in front of the replicas instead of Python proxies
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",  # gRPC between deployments; alone it pins proxies to the head: set both
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",  # three failures in a row restart a proxy: 3 s without one, not 30
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "45",  # after 5 a proxy is killed: too soon on a busy machine
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "30",  # a caller that sends and reads nothing is cut off; an hour otherwise
    "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": "35",  # what a lost machine had in hand is given up; never otherwise
    "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S": "1",  # then another replica is asked; 5 otherwise
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leave CUDA_VISIBLE_DEVICES alone in tasks without a GPU
    "RAY_USAGE_STATS_ENABLED": "0",  # a project that you run yourself reports to nobody
}
CLUSTER_FLAGS: Mapping[str, str] = {
    **FLAGS,
    # what Ray has no setting for: a silent machine, a dead process, answers of the proxy itself
    "RAY_SERVE_HAPROXY_BINARY_PATH": "/home/ray/pinfunnel/cluster/launch/haproxy.sh",
    "RAY_health_check_period_ms": "1000",  # a machine that is silent is given up after 15 s, not after 65
    "RAY_health_check_timeout_ms": "2000",
    "RAY_grpc_client_keepalive_time_ms": "10000",  # a task there is begun elsewhere after 20 s, not after 7 minutes
    "RAY_grpc_client_keepalive_timeout_ms": "10000",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",  # workers serve so long without the head; 60 otherwise
}
"""Of machines of a cluster. A Ray that lives on one machine dies with it, so that it may be patient."""
QUIET_RAY_DATA = Path(__file__).parent / "launch" / "quiet_ray_data.yaml"
_SERVE_FLAGS = ("RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_THROUGHPUT_OPTIMIZED")

_MIB = 2**20
_STORE_MIN = 128 * _MIB
_STORE_MAX = 4096 * _MIB
_STORE_SHARE_OF_MEMORY = 0.2
_STORE_SHARE_OF_SHM = 0.9

# Ray's CPUs are slots, not cores: fewer than two, and a train worker would leave no slot to Ray Data, which then waits.
MIN_LOCAL_CPUS = 2
CONNECT_SECONDS = 5.0
START_ATTEMPTS = 3
SETTLE_SECONDS = 2.0


def set_flags(address: str | None = None) -> None:
    """Put Ray's flags into the environment; a value that the user set stays. Call it before `import ray`.

    `RAY_AUTH_MODE` becomes `token` for a cluster (an address is given, or RAY_ADDRESS is set) and `disabled` for a Ray
    that lives and dies with this process. Raises ConfigError when Ray was imported without token mode, which it needs.
    """
    for name, value in FLAGS.items():
        os.environ.setdefault(name, value)
    if not sys.platform.startswith("linux"):  # the HAProxy binary exists for Linux only
        for name in _SERVE_FLAGS:
            os.environ[name] = "0"
    _agree_with_loaded_serve()
    _no_bars_in_files()
    mode = "token" if address or os.environ.get("RAY_ADDRESS") else "disabled"
    if "RAY_AUTH_MODE" not in os.environ:
        if mode == "token" and "ray" in sys.modules:
            raise ConfigError("Ray was imported before the session joined a cluster: set RAY_AUTH_MODE=token first")
        os.environ["RAY_AUTH_MODE"] = mode


def _no_bars_in_files() -> None:
    """Ray Data's bars and lines are for who watches; `RAY_DATA_DISABLE_PROGRESS_BARS=0` asks for them in a file."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return
    if os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1") != "0":
        os.environ.setdefault("RAY_DATA_LOGGING_CONFIG", str(QUIET_RAY_DATA))


def _agree_with_loaded_serve() -> None:
    # Serve fixes its flags when imported; if the replicas read others, driver and replicas would talk past each other.
    constants = sys.modules.get("ray.serve._private.constants")
    for name in _SERVE_FLAGS if constants else ():
        loaded = "1" if getattr(constants, name) else "0"
        if os.environ[name] != loaded:
            logger.warning("%s stays %s: ray.serve was imported before the session started", name, loaded)
            os.environ[name] = loaded


def start(num_cpus: int | None = None, dashboard: bool = True, address: str | None = None) -> None:
    """Start a Ray of this process's own, or join the cluster at `address` (or RAY_ADDRESS; "auto": on this machine).

    `num_cpus` are slots for tasks and actors of a new Ray (default: the CPUs this process may use, at least two);
    a cluster has its own. Does nothing when Ray already runs in this process. Raises ConfigError with what to do.
    """
    target = address or os.environ.get("RAY_ADDRESS")
    if target and num_cpus is not None:
        raise ConfigError(
            f"num_cpus belongs to a Ray that starts here, but {target} is a running cluster: leave it out"
        )
    if num_cpus is not None and num_cpus < 1:
        raise ConfigError(f"num_cpus must be at least 1, found {num_cpus}")
    set_flags(address)
    import ray

    if ray.is_initialized():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about defaults of later releases; nothing that a user of ours could change
        if target:
            _must_answer(target)
            try:
                ray.init(address=target, logging_level=logging.ERROR, log_to_driver=False, job_config=our_code_first())
            except (ConnectionError, ray.exceptions.AuthenticationError) as error:
                raise ConfigError(f"cannot join Ray at {target}: {' '.join(str(error).split())[:200]}") from error
        else:
            haproxy.set_local()
            _start_local(num_cpus or max(MIN_LOCAL_CPUS, len(os.sched_getaffinity(0))), dashboard)


def _start_local(num_cpus: int, dashboard: bool) -> None:
    import ray

    for attempt in range(START_ATTEMPTS):
        try:
            # Never address=None: that would join whichever Ray another program left running on this machine.
            with ray_stays_here() as here:
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    include_dashboard=dashboard,
                    object_store_memory=object_store_bytes(),
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    job_config=our_code_first(),
                    **here,
                )
            return
        except Exception as error:
            # Ray gives a node 30 s, fixed, which a busy two-core machine can miss; it raises a bare Exception then.
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            logger.warning("Ray did not start within its 30 s (attempt %d of %d)", attempt + 1, START_ATTEMPTS)
    raise ConfigError("Ray does not start within 30 s here: end other programs that keep the CPUs busy, and try again")


def _must_answer(target: str) -> None:
    # Ray ends the whole process, with a page of C++ log, when nothing listens at the address.
    host, _, port = target.rpartition(":")
    if "://" in target or not port.isdigit():
        return  # "auto", a named address, or a Ray client's URL: Ray reports these itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(f"cannot join Ray at {target}: {error}; is the cluster up, and the port open?") from None


def stop() -> None:
    """Leave Ray: a Ray that `start` began ends, with Serve and all its processes; a cluster that it joined runs on."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()
        haproxy.remove_folder()


@contextmanager
def session(num_cpus: int | None = None, dashboard: bool = True, address: str | None = None) -> Iterator[None]:
    """`start` on entry and `stop` on exit, unless Ray already ran: then whoever started it ends it."""
    ray = sys.modules.get("ray")
    ours = ray is None or not ray.is_initialized()
    start(num_cpus=num_cpus, dashboard=dashboard, address=address)
    try:
        yield
    finally:
        if ours:
            stop()


def object_store_bytes(
    memory_file: Path = Path("/proc/meminfo"),
    shm: Path = Path("/dev/shm"),  # nosec B108: how much is free
) -> int:
    """Bytes of a local object store: a fifth of the available memory, 128 MiB to 4 GiB, within /dev/shm.

    Ray's own default is 30 % of all memory. A /dev/shm below 128 MiB (a container's default is 64) cannot hold any
    store: Ray then falls back to files in /tmp by itself.
    """
    available = _available_memory(memory_file)
    size = min(_STORE_MAX, int(available * _STORE_SHARE_OF_MEMORY)) if available else _STORE_MAX // 8
    room = int(shutil.disk_usage(shm).free * _STORE_SHARE_OF_SHM) if shm.is_dir() else 0
    if room >= _STORE_MIN:
        size = min(size, room)
    return max(_STORE_MIN, size)


def _available_memory(memory_file: Path) -> int:
    try:
        for line in memory_file.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def train_resources() -> tuple[int, dict[str, float]]:
    """Workers and `resources_per_worker` of a Ray Train run that leaves Ray Data room to read: never all the CPUs.

    One worker per node that has CPUs. Together they take at most what is free now less one CPU, each at most half of
    the smallest node, whole CPUs where that gives one or more and quarters below. With a single CPU the worker takes 0.
    """
    import ray

    nodes = [cpus for node in ray.nodes() if node["Alive"] and (cpus := node["Resources"].get("CPU", 0.0)) > 0]
    free = 0.0
    until = time.monotonic() + SETTLE_SECONDS
    while free < sum(nodes) and time.monotonic() < until:
        # A task that has just ended still counts for a moment; replicas and other jobs do so throughout.
        free = max(free, ray.available_resources().get("CPU", 0.0))
        time.sleep(0.1)
    return share_cpus(nodes, free)


def share_cpus(node_cpus: list[float], free_cpus: float) -> tuple[int, dict[str, float]]:
    """The arithmetic of `train_resources`: CPUs per node, and CPUs that nobody holds, to workers and CPUs for each.

    Fewer free CPUs than one per worker and one to spare means fewer workers.
    """
    spare = max(0.0, min(free_cpus, sum(node_cpus)) - 1.0)
    workers = max(1, min(len(node_cpus), int(spare)))
    each = min(spare / workers, min(node_cpus, default=0.0) / 2)
    each = float(int(each)) if each >= 1 else int(each * 4) / 4
    return workers, {"CPU": each}
