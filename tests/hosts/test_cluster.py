"""`ray up` on cluster/launch/on-prem.yaml as it is, with three machines, and then docs/cluster.md line by line.

Run by `make test-cluster`: it needs root, and some minutes.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import yaml

from cluster.store.logs import LogStore
from tests.hosts.hosts import SHARED, Host, Machines, machines, missing
from tests.worlds.toy import toy_project

WHY_NOT = missing() if os.environ.get("PINFUNNEL_HOSTS") else "only by `make test-cluster`"
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

ROOT = Path(__file__).parents[2]
ON_PREM = "cluster/launch/on-prem.yaml"
KEY = "pf_" + "x" * 40
NAMES = ("head.example.net", "worker-1.example.net", "worker-2.example.net")


def documented() -> list[str]:
    """The commands of "The steps" in docs/cluster.md, in their order, of these machines."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    steps = page[page.index("## The steps") : page.index("## What runs where")]
    lines = [line.strip() for block in re.findall(r"```\n(.*?)```", steps, re.DOTALL) for line in block.splitlines()]
    return [line.replace("cluster.yaml", ON_PREM) for line in lines if line.strip()]


def checkout(folder: Path) -> Path:
    """What git knows of this checkout, with its changes, and a project in it as a user keeps one."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in files.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    code = checkout(tmp_path_factory.mktemp("code") / "pinfunnel")
    toy = toy_project(tmp_path_factory.mktemp("toy"))
    settings = yaml.safe_load(toy.read_text())
    for source in settings["data"].values():
        source["path"] = f"{SHARED}/toy/{Path(source['path']).name}"
    settings |= {"home": f"{SHARED}/home", "access": {"keys": f"{SHARED}/keys.yaml"}}
    (code / "pinfunnel.yaml").write_text(yaml.safe_dump(settings))
    with machines(NAMES, code, Path(sys.prefix)) as made:
        shutil.copytree(toy.parent, made.root / "shared" / "toy")
        entry = {"name": "all", "sha256": sha256(KEY.encode()).hexdigest(), "scopes": ["recommend", "events", "admin"]}
        (made.root / "shared" / "keys.yaml").write_text(yaml.safe_dump({"keys": [entry]}))
        subprocess.run(["chmod", "-R", "a+rX", str(made.root / "shared")], check=True)
        yield made


class Said:
    """What happened when, on the screen: the figures of this test are read there."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)


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


def test_the_steps_of_the_page_start_a_funnel(cluster: Machines) -> None:
    said = Said()
    for line in ("ray get-auth-token --generate", f"RAY_UP_enable_autoscaler_v2=0 ray up -y {ON_PREM}", *documented()):
        out = cluster.run(line, timeout=400)
        said(f"$ {line}\n{out.stdout[-600:]}")
    worker = cluster["worker-1"]
    refused = httpx.post(f"http://{worker.address}:8000/v1/homefeed/recommendations", json={"user_id": 3}, timeout=60)
    assert refused.status_code == 401, refused.text
    for name in ("worker-1", "worker-2"):
        said(f"{name} answers whole after {wait_until_whole(cluster[name], 120):.1f} s")
    told = cluster.run(f"pinfunnel status --cluster {ON_PREM}").stdout
    assert "application: RUNNING" in told
    assert "lightweight/homefeed" in told
    logged = cluster.run(f"pinfunnel logs --cluster {ON_PREM} --lines 3 --match walk").stdout
    assert logged.count("replica_pinfunnel_walk") >= 2, logged


def test_a_worker_that_dies_takes_no_event_along_and_comes_back(cluster: Machines) -> None:
    """The plug of one of two workers is pulled, under load at the other: what is acknowledged stays, answers go on."""
    said = Said()
    config = yaml.safe_load((ROOT / "apps" / "serve.yaml").read_text())
    config["applications"][0]["args"] |= {"cpus": 0.25}  # so that one worker has room for all
    (cluster.root / "desk" / "home" / "pinfunnel" / "small.yaml").write_text(yaml.safe_dump(config))
    cluster.run(f"ray rsync-up {ON_PREM} small.yaml /home/ray/pinfunnel/small.yaml")
    cluster.run(f"ray exec {ON_PREM} 'cd ~/pinfunnel && RAY_ADDRESS=auto pinfunnel deploy small.yaml'", timeout=400)
    survivor, victim = cluster["worker-1"], cluster["worker-2"]
    wait_until_whole(survivor, 120)
    said("deployed anew")
    acknowledged: list[str] = []
    answers: Counter[str] = Counter()
    stop = threading.Event()
    load = threading.Thread(target=send, args=(survivor, stop, acknowledged, answers))
    load.start()
    try:
        time.sleep(5)
        victim.power_off()
        said("worker-2 lost its power")
        time.sleep(1)
        seconds = wait_until_whole(survivor, 240)
    finally:
        stop.set()
        load.join()
    wait_until_listed(cluster, victim, False)
    said(f"normal {seconds:.1f} s later; meanwhile: {dict(answers)}; {len(acknowledged)} events acknowledged")
    url = f"http://{survivor.address}:8000/v1/logs/flush"
    assert httpx.post(url, headers={"x-api-key": KEY}, timeout=60).status_code == 200
    stored = LogStore(cluster.root / "shared" / "home" / "logs").read_events()[0].column("event_id").to_pylist()
    assert set(acknowledged) - set(stored) == set()
    assert len(acknowledged) > 5
    victim.power_on()
    cluster.run(f"RAY_UP_enable_autoscaler_v2=0 ray up -y {ON_PREM}", timeout=400)
    wait_until_listed(cluster, victim, True)
    said("worker-2 is back")


def send(host: Host, stop: threading.Event, acknowledged: list[str], answers: Counter[str]) -> None:
    """A few requests and events a second, until told to stop."""
    number = 0
    while not stop.is_set():
        answers[ask(host)] += 1
        event = {"event_id": f"e{number}", "user_id": number % 50, "pin_id": 1 + number % 500, "action": "click"}
        event["occurred_at"] = datetime.now(UTC).isoformat()
        number += 1
        try:
            url = f"http://{host.address}:8000/v1/events"
            sent = httpx.post(url, json={"events": [event]}, headers={"x-api-key": KEY}, timeout=10)
        except httpx.HTTPError:
            answers["event: no answer"] += 1
            continue
        if sent.status_code == 200 and sent.json()["accepted"]:
            acknowledged.append(str(event["event_id"]))
        else:
            answers[f"event: {sent.status_code}"] += 1
        time.sleep(0.2)
