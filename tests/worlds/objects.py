"""A real object store over HTTP for tests: moto's server, which speaks S3, in a thread of this process."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def s3_server(port: int) -> Iterator[str]:
    """Starts it; yields its address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else it prints a line for each call
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def new_bucket(endpoint: str) -> str:
    """A bucket that nobody else has; its URI."""
    name = f"bucket-{os.urandom(6).hex()}"
    httpx.put(f"{endpoint}/{name}").raise_for_status()
    return f"s3://{name}"
