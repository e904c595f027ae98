"""A Ray of this machine alone listens on 127.0.0.1, where Ray on Linux would listen on every address."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"
CLUSTER = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@contextmanager
def ray_stays_here() -> Iterator[dict[str, str]]:
    """Arguments for a `ray.init` within the context.

    Ray binds its servers by the node's address, and on macOS and Windows takes loopback for it. On Linux it replaces a
    loopback address that it is given by one that other machines reach, unless it is told as here that this is no
    cluster. Processes that it starts are told by the variable; this one has read it when it first imported Ray. Without
    it the dashboard's Serve page would look for the cluster at an address where nobody listens.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    told = os.environ.get(CLUSTER)
    ray_constants.ENABLE_RAY_CLUSTER = False
    os.environ[CLUSTER] = "0"
    try:
        yield {"_node_ip_address": HOST}
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(CLUSTER)
        if told is not None:
            os.environ[CLUSTER] = told
