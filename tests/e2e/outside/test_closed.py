"""What others can do to a server: what listens where, who is let in, what is written, what is in its processes."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cluster.haproxy import HEADER_SECONDS
from cluster.ports import is_loopback
from tests.worlds import calls
from tests.worlds.outside import Seen, soon


@pytest.fixture(scope="module", autouse=True)
def slow(seen: Seen) -> Iterator[socket.socket]:
    """A caller that does not end its headers, from before the other tests on: they run while it waits."""
    with socket.create_connection(("127.0.0.1", seen.server.port)) as connection:
        connection.settimeout(3 * HEADER_SECONDS)
        connection.sendall(b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        yield connection


def listening(pids: set[int]) -> dict[str, set[str]]:
    """Programs by the addresses that they listen on, as `ss -ltnp` shows them."""
    found: dict[str, set[str]] = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    name = " ".join(process.cmdline()[:1])[-60:]
                    address = connection.laddr.ip.removeprefix("::ffff:")  # IPv4 on a socket of both kinds
                    found.setdefault(address, set()).add(f"{name}:{connection.laddr.port}")
    return found


def test_all_that_it_starts_listens_on_this_machine_alone(seen: Seen) -> None:
    found = listening(seen.pids())
    names = " ".join(sorted(name for names in found.values() for name in names))
    for part in ("haproxy", "gcs_server", "raylet", "ServeReplica:pinfunnel:walk", "ServeReplica:pinfunnel:ingress"):
        assert part in names, names
    print(sorted(f"{ip} {name}" for ip, names in found.items() for name in names))
    assert {ip: names for ip, names in found.items() if not is_loopback(ip)} == {}


def test_only_a_stage_with_a_network_has_loaded_torch(seen: Seen) -> None:
    """Which takes seconds of a start and 200 MB of each process."""
    loaded = {}
    for name in ("ingress", "events", "walk", "lightweight", "full"):
        [pid] = seen.server.find(name)
        loaded[name] = "libtorch" in Path(f"/proc/{pid}/maps").read_text()
    assert loaded == {"ingress": False, "events": False, "walk": False, "lightweight": False, "full": True}


def test_keys_hold_through_the_proxy_and_are_written_nowhere(seen: Seen) -> None:
    feed = f"{seen.server.url}/v1/notifications/recommendations"
    models, health = f"{seen.server.url}/v1/models", f"{seen.server.url}/healthz"
    for scope, url in (("recommend", feed), ("admin", models), ("admin", health)):
        method = "POST" if scope == "recommend" else "GET"
        for held, key in seen.keys.items():
            body = {} if method == "POST" else None
            status = calls.request(method, url, json=body, headers={"x-api-key": key}, timeout=30).status_code
            assert status == (200 if held == scope or url == health else 403)
    assert calls.post(feed, json={}, headers={"x-api-key": "x"}).status_code == 401
    for key in seen.keys.values():  # where it does not belong
        calls.post(feed, json={"user_id": key}, headers={"x-api-key": key})
        calls.get(f"{models}?x-api-key={key}")
    assert seen.ask(**{"x-request-id": "behind-all-keys"}).status_code == 200
    lines = soon(seen.lines, lambda lines: any(line.get("request_id") == "behind-all-keys" for line in lines))
    assert [line for line in lines if line.get("request_id") == "behind-all-keys"], "so those before it are written"
    for path in [*(path for path in seen.ray.rglob("*") if path.is_file()), seen.server.log]:
        data = path.read_bytes()
        assert not [scope for scope, key in seen.keys.items() if key.encode() in data], path

    def with_query() -> int:
        return sum("url.query" in str(span) for _, span in list(seen.collector.spans))

    assert soon(with_query, lambda count: count >= len(seen.keys)) >= len(seen.keys), "so their spans have come"
    assert not [scope for scope, key in seen.keys.items() if key in str(seen.collector.spans)]


def test_who_does_not_end_the_headers_is_cut_off(slow: socket.socket) -> None:
    said = slow.recv(1000)
    assert said == b"" or b" 408 " in said


def test_the_console_lets_an_admin_in_through_the_proxy(seen: Seen) -> None:
    """Stages are other processes here, as the pages' numbers are."""
    console = f"{seen.server.url}/console"
    assert calls.get(f"{console}/funnel").headers["location"] == "/console/login"
    origin = {"origin": seen.server.url}
    refused = calls.post(f"{console}/login", data={"key": seen.keys["recommend"]}, headers=origin)
    assert refused.status_code == 403
    session = calls.post(f"{console}/login", data={"key": seen.keys["admin"]}, headers=origin)
    cookie = {"cookie": session.headers["set-cookie"].partition(";")[0]}
    page = calls.get(f"{console}/funnel?client=homefeed&user={seen.user}", headers=cookie, timeout=60)
    assert page.status_code == 200
    assert f"25 pins for user {seen.user} on homefeed" in page.text
    health = calls.get(f"{console}/health", headers=cookie, timeout=60).text
    assert 'id="h-homefeed"' in health
    assert "Other processes rank here" in health
