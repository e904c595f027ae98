"""`ray up` on cluster/launch/on-prem.yaml as it is, with three machines, and then docs/cluster.md line by line.

Run by `make test-cluster`: it needs root, and some minutes.
"""

import re
from pathlib import Path

import httpx
import pytest

from tests.hosts.calls import ON_PREM, UP, WHY_NOT, Said, wait_until_whole
from tests.hosts.hosts import Machines

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

ROOT = Path(__file__).parents[2]


def documented() -> list[str]:
    """The commands of "The steps" in docs/cluster.md, in their order, of these machines."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    steps = page[page.index("## The steps") : page.index("## What runs where")]
    lines = [line.strip() for block in re.findall(r"```\n(.*?)```", steps, re.DOTALL) for line in block.splitlines()]
    return [line.replace("cluster.yaml", ON_PREM) for line in lines if line.strip()]


def test_the_steps_of_the_page_start_a_funnel(cluster: Machines) -> None:
    said = Said()
    for line in ("ray get-auth-token --generate", UP, *documented()):
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
