"""Waiting for an application: every change is told, and what keeps it from running becomes one line."""

from typing import Any

import pytest

from apps.deploy import submit
from apps.deploy.submit import Endpoint, wait_until_running
from cluster.errors import ConfigError


def app(status: str, message: str = "", **deployments: str) -> dict[str, Any]:
    found = {name: {"status": status, "message": f"about {name}"} for name, status in deployments.items()}
    return {"f": {"status": status, "message": message, "deployments": found}}


def waited(*looks: dict[str, Any], seconds: float = 60.0, lacking: str = "") -> list[str]:
    """What is said while Serve tells `looks`, one after the other."""
    said: list[str] = []
    left = list(looks)
    wait_until_running(lambda: left.pop(0) if len(left) > 1 else left[0], "f", seconds, said.append, lambda: lacking)
    return said


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "POLL_SECONDS", 0.0)


def test_each_change_is_said_once() -> None:
    starting = app("DEPLOYING", full="UPDATING", walk="UPDATING")
    assert waited({}, starting, starting, app("DEPLOYING", full="UPDATING", walk="HEALTHY"), app("RUNNING")) == [
        "NOT_STARTED",
        "DEPLOYING, waits for `full`, `walk`",
        "DEPLOYING, waits for `full`",
        "RUNNING",
    ]


@pytest.mark.parametrize("status", ["DEPLOY_FAILED", "UNHEALTHY"])
def test_a_failure_says_why(status: str) -> None:
    trace = "Traceback (most recent call last):\n  File x\ncluster.errors.ConfigError: pinfunnel.yaml: no such file\n"
    with pytest.raises(ConfigError, match=f"is {status}: .*pinfunnel.yaml: no such file; full: about full") as error:
        waited(app(status, trace, full="UNHEALTHY", walk="UPDATING"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:9", "ray://127.0.0.1:9"])
def test_a_dashboard_that_is_none_is_one_line(address: str) -> None:
    with pytest.raises(ConfigError, match="no Ray dashboard answers there") as error:
        Endpoint(address)
    assert "\n" not in str(error.value)


def test_when_time_is_up_what_finds_no_room_is_named() -> None:
    starting = app("DEPLOYING", full="UPDATING")
    with pytest.raises(ConfigError, match="after 0 s, it is DEPLOYING, waits for `full`: no room for 2 of `walk`"):
        waited(starting, seconds=0.0, lacking="no room for 2 of `walk`")
    with pytest.raises(ConfigError, match="pinfunnel logs"):
        waited(starting, seconds=0.0)
