"""Hands a config to Ray Serve and waits until the application runs, or says why it does not."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from cluster.errors import ConfigError

DONE = "RUNNING"
FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
POLL_SECONDS = 1.0


class Endpoint:
    """Serve's API of a cluster, at the address of its dashboard."""

    def __init__(self, address: str):
        from ray.dashboard.modules.serve.sdk import ServeSubmissionClient

        try:
            self._client = ServeSubmissionClient(address)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(f"{address}: no Ray dashboard answers there: {_line(error)}") from None

    def deploy(self, config: Mapping[str, Any]) -> None:
        """Raises ConfigError with what Serve says against it."""
        try:
            self._client.deploy_applications(dict(config))
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"Ray Serve refused the application: {_line(error)}") from None

    def applications(self) -> dict[str, Any]:
        """Details by name, as `serve status` has them. Raises ConfigError where the dashboard does not answer."""
        try:
            found: dict[str, Any] = self._client.get_serve_details()["applications"]
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"the Ray dashboard does not answer: {_line(error)}") from None
        return found


def wait_until_running(
    applications: Callable[[], Mapping[str, Any]],
    name: str,
    seconds: float,
    say: Callable[[str], None],
    lacking: Callable[[], str] = lambda: "",
) -> None:
    """Polls until the application runs; `say` is told of each change.

    `lacking` says what finds no room in the cluster, asked when time is up. Raises ConfigError with the reason.
    """
    told = ""
    until = time.monotonic() + seconds
    while True:
        app = applications().get(name, {})
        status = app.get("status", "NOT_STARTED")
        waiting = sorted(f"`{n}`" for n, d in app.get("deployments", {}).items() if d["status"] != "HEALTHY")
        line = status + (f", waits for {', '.join(waiting)}" if waiting else "")
        if line != told:
            say(line)
            told = line
        if status == DONE:
            return
        if status in FAILED:
            raise ConfigError(f"the application is {status}: {reason(app)}")
        if time.monotonic() >= until:
            why = lacking() or reason(app) or "`pinfunnel logs` shows what the replicas say"
            raise ConfigError(f"the application does not run after {seconds:.0f} s, it is {line}: {why}")
        time.sleep(POLL_SECONDS)


def reason(app: Mapping[str, Any]) -> str:
    """What Serve says of an application and of its deployments that are not healthy."""
    parts = [app.get("message", "")]
    parts += [
        f"{name}: {deployment['message']}"
        for name, deployment in app.get("deployments", {}).items()
        if deployment["status"] not in ("HEALTHY", "UPDATING") and deployment.get("message")
    ]
    return "; ".join(_line(part) for part in parts if part)


def _line(text: object) -> str:
    """The last lines of a traceback say what is wrong; the others, where in Ray."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return " ".join(lines[-3:])[-600:]
