"""Under load: more and fewer replicas, other settings, and no request that fails.

After test_cluster_loss.py, on its cluster.
"""

import pytest

from tests.hosts.calls import LONG, Load, Said, deploy, wait_until_whole
from tests.hosts.hosts import Machines

pytestmark = pytest.mark.skipif(bool(LONG), reason=LONG)


def test_more_and_fewer_replicas_and_other_settings_fail_no_request(cluster: Machines) -> None:
    said = Said()
    host = cluster["worker-1"]
    deploy(cluster)
    wait_until_whole(host, 240)
    said("as it was")
    told = []
    with Load(host) as load:
        for what, args in {
            "a walker and a ranker more": {"walker_replicas": 3, "lightweight_replicas": 2},
            "a walker and a ranker less": {},
            "every replica anew": {"slots": 12, "cpus": 0.12},
        }.items():
            load.answers.clear()
            deploy(cluster, **args)
            told.append(load.errors)
            said(f"{what}: {dict(load.answers)}")
    assert load.lost(cluster) == set()
    assert told == [{}, {}, {}]
