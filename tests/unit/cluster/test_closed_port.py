"""Whoever comes while a server ends is told to try again."""

import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from cluster.closed_port import ClosedPort


def test_everybody_gets_503_until_it_is_closed() -> None:
    port = ClosedPort("127.0.0.1", 0)
    url = f"http://127.0.0.1:{port.port}/v1/homefeed/recommendations"
    body = {"exclude": list(range(200_000))}  # more than one read
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: httpx.post(url, json=body, timeout=10), range(16)))
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "try again" in answer.json()["detail"]
    silent = socket.create_connection(("127.0.0.1", port.port))  # sends nothing, and holds up nobody
    assert httpx.get(url, timeout=10).status_code == 503
    silent.close()
    port.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, timeout=10)


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held, pytest.raises(OSError, match="in use"):
        ClosedPort("127.0.0.1", held.getsockname()[1])
