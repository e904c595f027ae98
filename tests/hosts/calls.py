"""What the tests here ask of a cluster, over HTTP and by Ray's commands; and when something happened, on the screen."""

import threading
import time
from collections import Counter
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from typing import Any

import httpx
import yaml

from cluster.store.logs import LogStore
from tests.hosts.hosts import Host, Machines, missing

WHY_NOT = missing() if environ.get("PINFUNNEL_HOSTS") else "only by `make test-cluster`"
LONG = WHY_NOT or ("" if environ["PINFUNNEL_HOSTS"] == "all" else "only by `make test-cluster HOSTS=all`")
ON_PREM = "cluster/launch/on-prem.yaml"
UP = f"RAY_UP_enable_autoscaler_v2=0 ray up -y {ON_PREM}"
KEY = "pf_" + "x" * 40


class Said:
    """What happened when, on the screen: the figures of this test are read there."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)


def on_head(command: str) -> str:
    """A command of ours on the head, as docs/cluster.md has them."""
    return f"ray exec {ON_PREM} 'cd ~/pinfunnel && RAY_ADDRESS=auto {command}'"


def ask(host: Host, timeout: float = 10.0) -> str:
    """`whole`, what the answer lacks, the status that was no answer, or that nothing came."""
    url = f"http://{host.address}:8000/v1/homefeed/recommendations"
    try:
        answer = httpx.post(url, json={"user_id": 3}, headers={"x-api-key": KEY}, timeout=timeout)
    except httpx.HTTPError as error:
        return type(error).__name__
    if answer.status_code != 200:
        return str(answer.status_code)
    return answer.json()["degraded"] or "whole"


def wait_until_whole(host: Host, seconds: float) -> float:
    """Seconds until three answers in a row lack nothing. Fails when it takes longer than `seconds`."""
    began, row, found = time.monotonic(), 0, ""
    while time.monotonic() - began < seconds:
        found = ask(host)
        row = row + 1 if found == "whole" else 0
        if row == 3:
            return time.monotonic() - began
        time.sleep(0.5)
    raise AssertionError(f"{host.name} is not whole after {seconds} s: {found}")


def wait_until_listed(cluster: Machines, host: Host, listed: bool) -> None:
    """Until Ray counts a host among its living nodes, or does no longer. Fails when it takes 4 minutes."""
    began = time.monotonic()
    listing = f"ray exec {ON_PREM} 'ray list nodes --filter state=ALIVE --format json'"
    while (f'"{host.address}"' in (nodes := cluster.run(listing).stdout)) != listed:
        assert time.monotonic() - began < 240, nodes
        time.sleep(2)


def replicas_of(host: Host) -> set[int]:
    """The processes of a host that serve."""
    names = {pid: (Path("/proc") / str(pid) / "cmdline").read_bytes() for pid in host.processes()}
    return {pid for pid, name in names.items() if name.startswith(b"ray::ServeReplica")}


def lay(cluster: Machines, name: str, source: str, change: dict[str, Any]) -> None:
    """A changed copy of a YAML file of the checkout, there and on the head."""
    folder = cluster.root / "desk" / "home" / "pinfunnel"
    (folder / name).write_text(yaml.safe_dump({**yaml.safe_load((folder / source).read_text()), **change}))
    cluster.run(f"ray rsync-up {ON_PREM} {name} /home/ray/pinfunnel/{name}")


def deploy(cluster: Machines, **args: Any) -> None:
    """apps/serve.yaml with other `args`, from the head; small, so that one worker has room for all."""
    folder = cluster.root / "desk" / "home" / "pinfunnel"
    applications = yaml.safe_load((folder / "apps" / "serve.yaml").read_text())["applications"]
    applications[0]["args"] |= {"cpus": 0.125, **args}
    lay(cluster, "other.yaml", "apps/serve.yaml", {"applications": applications})
    cluster.run(on_head("pinfunnel deploy other.yaml"), timeout=400)


class Load:
    """A few requests and events a second at one machine, as a context manager."""

    def __init__(self, host: Host):
        self.acknowledged: list[str] = []
        self.answers: Counter[str] = Counter()
        self._host = host
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    @property
    def errors(self) -> dict[str, int]:
        """What was no answer, by what it was. Not events that are to be sent again (503)."""
        lacking = {what for what in self.answers if ": " in what and not what.startswith("event: ")}
        answers = lacking | {"whole", "event: 503"}
        return {what: count for what, count in self.answers.items() if what not in answers}

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def lost(self, cluster: Machines) -> set[str]:
        """Acknowledged events that the log does not have."""
        url = f"http://{self._host.address}:8000/v1/logs/flush"
        assert httpx.post(url, headers={"x-api-key": KEY}, timeout=60).status_code == 200
        logs = LogStore(cluster.root / "shared" / "home" / "logs")
        return set(self.acknowledged) - set(logs.read_events()[0].column("event_id").to_pylist())

    def _send(self) -> None:
        while not self._stop.is_set():
            self.answers[ask(self._host)] += 1
            self._send_event(f"{id(self)}-{len(self.acknowledged)}-{self.answers.total()}")
            time.sleep(0.2)

    def _send_event(self, event_id: str) -> None:
        number = self.answers.total()
        event = {"event_id": event_id, "user_id": number % 50, "pin_id": 1 + number % 500, "action": "click"}
        event["occurred_at"] = datetime.now(UTC).isoformat()
        try:
            url = f"http://{self._host.address}:8000/v1/events"
            sent = httpx.post(url, json={"events": [event]}, headers={"x-api-key": KEY}, timeout=10)
        except httpx.HTTPError as error:
            self.answers[f"event: {type(error).__name__}"] += 1
            return
        if sent.status_code == 200 and sent.json()["accepted"]:
            self.acknowledged.append(event_id)
        else:
            self.answers[f"event: {sent.status_code}"] += 1
