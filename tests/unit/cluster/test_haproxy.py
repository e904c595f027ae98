"""HAProxy's settings are those of the process that starts it, or the user's."""

import os

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
