"""A port belongs to one server at a time, and the next is told whose it is."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import ConfigError
from cluster.ports import PortClaim, free_ports

HOST = "127.0.0.1"


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(1024 <= port <= 65535 for port in ports)
    for port in ports:
        socket.create_server((HOST, port)).close()


def test_a_second_server_is_told_whose_the_port_is(tmp_path: Path) -> None:
    [port] = free_ports(1)
    told = rf"port {port} is taken by the server of /shop/pinfunnel.yaml \(process"
    with PortClaim(HOST, port, "/shop/pinfunnel.yaml", tmp_path), pytest.raises(ConfigError, match=told):
        PortClaim(HOST, port, "/other/pinfunnel.yaml", tmp_path)
    PortClaim(HOST, port, "/other/pinfunnel.yaml", tmp_path).release()


def test_a_port_of_another_program_is_refused_also_where_it_would_be_shared(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as HAProxy listens
        held.bind((HOST, 0))
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is in use by another program"):
            PortClaim(HOST, port, "mine", tmp_path)
    PortClaim(HOST, port, "mine", tmp_path).release()  # and what was refused holds nothing


def test_an_address_that_is_not_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.1"):
        PortClaim("203.0.113.1", 8000, "mine", tmp_path)


def test_what_is_killed_holds_no_port(tmp_path: Path) -> None:
    [port] = free_ports(1)
    code = f"""
import sys, time
from pathlib import Path
from cluster.ports import PortClaim
claim = PortClaim("{HOST}", {port}, "killed", Path({str(tmp_path)!r}))
print("mine", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(ConfigError, match="killed"):
            PortClaim(HOST, port, "mine", tmp_path)
        other.kill()
    PortClaim(HOST, port, "mine", tmp_path).release()
