"""A Ray cluster on this machine: a head that does no work, and two nodes that do, one of which is going to die.

python -m apps.faults.nodes        # prints the address, and lives until its standard input ends
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

from cluster.processes import below, name_of

NODES = 2
END_SECONDS = 20.0
FLAGS = {"RAY_AUTH_MODE": "disabled"}


class ClusterUnderFault:
    """The cluster of this module, in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "apps.faults.nodes"],
            env={**os.environ, **FLAGS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said:
            raise RuntimeError("Ray does not start a cluster here")
        self.address: str = json.loads(said)["address"]

    def node_of(self, pid: int) -> list[int]:
        """The processes of the node that a process runs on, the raylet first; empty for none of a node's."""
        for raylet in below(self.process.pid):
            if "/raylet/raylet " in name_of(raylet) and pid in below(raylet):
                return [raylet, *below(raylet)]
        return []

    def stop(self) -> None:
        """End it; what is left is killed."""
        children = below(self.process.pid)
        with suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=END_SECONDS)
        for pid in (self.process.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def main() -> None:
    """Start it, say so, and end it."""
    from cluster import haproxy, session

    session.set_flags()
    haproxy.set_local()
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(NODES):
        cluster.add_node(num_cpus=2)
    print(json.dumps({"address": cluster.address}), flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
