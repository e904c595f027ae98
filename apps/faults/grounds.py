"""The servers that faults are made on, by name: which settings, which environment, on which disk."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.faults import clock
from apps.faults.fault import CannotFault, Ground
from apps.faults.nodes import FLAGS, ClusterUnderFault
from apps.faults.server import ServerUnderFault
from apps.faults.site import FaultSite
from apps.faults.verdict import Judge

DISK_MB = 64


@dataclass(frozen=True)
class Setting:
    """How a ground differs from `pinfunnel serve` with the site's settings."""

    about: str
    serving: dict[str, Any]
    own_clock: bool = False
    small_disk: bool = False
    nodes: bool = False


COLOCATED = {"shape": "colocated", "processes": 2, "simulation": True}
GROUNDS = {
    "colocated": Setting("two ingress processes that hold all stages, and the event log", COLOCATED),
    "separate": Setting("a deployment for each stage", {**COLOCATED, "shape": "separate", "processes": 1}),
    "disk": Setting(f"colocated, its logs on a tmpfs of {DISK_MB} MB", COLOCATED, small_disk=True),
    "nodes": Setting("colocated, on a Ray cluster of a head and two nodes", COLOCATED, nodes=True),
    "clock": Setting("colocated, with a clock of its own", {**COLOCATED, "simulation": False}, own_clock=True),
}


@contextmanager
def ground_of(name: str, site: FaultSite) -> Iterator[Ground]:
    """A server that answers, and ends with the context. Raises CannotFault where this machine cannot have it."""
    setting = GROUNDS[name]
    environment = clock.environment(site.path.parent) if setting.own_clock else {}
    site.publish("AAA")
    with ExitStack() as held:
        if setting.small_disk:
            held.enter_context(_tmpfs(Path(site.opened.project.home) / "logs"))
        cluster = None
        if setting.nodes:
            cluster = ClusterUnderFault()
            held.callback(cluster.stop)
            environment |= FLAGS
        server = ServerUnderFault(site.path, setting.serving, environment, cluster)
        ground = Ground(site, server, Judge(site))
        held.callback(lambda: ground.stored.update(stored_events(site)))
        held.callback(server.stop)
        server.up()
        yield ground


def stored_events(site: FaultSite) -> set[str]:
    """The ids of all events in the log. What a killed server has left is taken over first, as the next one would."""
    process = site.opened.new_process()
    process.event_log(patience=10.0).close()
    table, _ = process.logs.read_events()
    return set(table["event_id"].to_pylist()) if len(table) else set()


@contextmanager
def _tmpfs(folder: Path) -> Iterator[None]:
    if os.geteuid():
        raise CannotFault("only root may mount a small disk")
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "pinfunnel-faults", str(folder)], capture_output=True
    )
    if mounted.returncode:
        raise CannotFault(f"no small disk: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
