"""A real object store over HTTP for tests: moto's server, which speaks S3, in a thread of this process."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def s3_server() -> Iterator[str]:
    """Starts it; yields its address. Whoever calls it stands for a site with an endpoint of its own, by path style."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else it prints a line for each call
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def environment(endpoint: str) -> dict[str, str]:
    """What a process needs to reach the server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_REGION": "us-east-1",
    }


def new_bucket(endpoint: str) -> str:
    """A bucket that nobody else has; its URI."""
    name = f"bucket-{os.urandom(6).hex()}"
    httpx.put(f"{endpoint}/{name}").raise_for_status()
    return f"s3://{name}"
