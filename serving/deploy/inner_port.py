"""The port on which a replica takes calls of other replicas: on loopback where its node is.

Whoever reaches that port runs code, as its calls are pickled; Serve 2.60 opens it on every address, whatever
the node's is. A token guards it (RAY_AUTH_MODE=token), but a Ray on one machine has none by default.
"""

from typing import Any

import ray
from ray.serve._private import replica

from cluster.ports import is_loopback

EVERYWHERE = "[::]:0"
"""What Serve asks for."""


def stay_on_loopback() -> None:
    """Have this replica's server listen on loopback if its node does. Before Serve starts it: in the constructor."""
    node = ray.util.get_node_ip_address()
    add = replica.add_port_to_grpc_server
    if not is_loopback(node) or getattr(add, "on_loopback", False):
        return

    def on_loopback(server: Any, address: str) -> int:
        return add(server, f"{node}:0" if address == EVERYWHERE else address)

    on_loopback.on_loopback = True  # type: ignore[attr-defined]
    replica.add_port_to_grpc_server = on_loopback
