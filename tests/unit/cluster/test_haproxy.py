"""HAProxy's settings are those of the process that starts it, or the user's."""

import os
import subprocess
from pathlib import Path

import pytest

from cluster import haproxy


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (haproxy.OWNER, *haproxy.local_settings()):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_what_the_user_set_stays(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("RAY_SERVE_HAPROXY_STATS_PORT", "8404")
    haproxy.set_local()
    assert os.environ["RAY_SERVE_HAPROXY_STATS_PORT"] == "8404"
    assert os.environ["RAY_SERVE_HAPROXY_SOCKET_PATH"].startswith(str(haproxy.folder()))
    fallback = os.environ["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"]
    haproxy.set_local()
    assert os.environ["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"] == fallback, "a second Ray of this process keeps them"


def test_what_another_process_set_does_not(clean: pytest.MonkeyPatch) -> None:
    clean.setenv(haproxy.OWNER, str(os.getppid()))
    clean.setenv("RAY_SERVE_HAPROXY_SOCKET_PATH", "/elsewhere/admin.sock")
    clean.setenv("RAY_SERVE_FALLBACK_PROXY_HTTP_PORT", "8500")
    haproxy.set_local()
    assert os.environ["RAY_SERVE_HAPROXY_SOCKET_PATH"] == f"{haproxy.folder()}/admin.sock"
    assert os.environ["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"] != "8500"


def test_nothing_listens_without_a_proxy() -> None:
    assert haproxy.stop_listening() == 0


RAYS_FILE = """global
    stats socket /x/admin.sock mode 666 level admin expose-fd listeners
defaults
    mode http
    retry-on conn-failure
    errorfile 502 /x/500.http
    errorfile 503 /x/500.http
    errorfile 504 /x/500.http
frontend prometheus
    bind :9101
frontend http_frontend
    bind *:8000
listen stats
  bind *:8404
"""


def test_the_starter_closes_what_rays_file_opens_to_all(
    tmp_path: Path, clean: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(haproxy, "folder", lambda: tmp_path / "mine")
    monkeypatch.setattr(haproxy, "_binary", lambda: "echo")
    file = tmp_path / "haproxy.cfg"
    file.write_text(RAYS_FILE)
    haproxy.write_starter()
    starter = tmp_path / "mine" / haproxy.STARTER_NAME
    said = subprocess.run([starter, "-db", "-f", file, "-sf", "7"], capture_output=True, text=True, check=True).stdout
    assert said == f"-db -f {file} -sf 7\n", "the same process, with the same arguments"
    lines = [line.strip() for line in file.read_text().splitlines()]
    assert [line for line in lines if "bind" in line] == ["bind 127.0.0.1:9101", "bind *:8000", "bind 127.0.0.1:8404"]
    assert "stats socket /x/admin.sock mode 600 level admin expose-fd listeners" in lines
    assert lines[lines.index("defaults") + 1] == f"timeout http-request {haproxy.HEADER_SECONDS}s"
    assert starter.stat().st_mode & 0o077 == 0


def test_rays_template_has_the_lines_that_the_starter_changes() -> None:
    from ray.serve._private.haproxy_templates import HAPROXY_CONFIG_TEMPLATE

    for line in (
        "    bind :{{ config.metrics_port }}",
        "  bind *:{{ config.stats_port }}",
        "    stats socket {{ config.socket_path }} mode 666 level admin expose-fd listeners",
        "defaults",
    ):
        assert line in HAPROXY_CONFIG_TEMPLATE.splitlines()
