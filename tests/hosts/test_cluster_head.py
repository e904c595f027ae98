"""The plug of the head is pulled under load, and it comes back by `ray up`: its state lies in a Redis.

After test_cluster.py, on its cluster.
"""

import pytest

from tests.hosts.calls import UP, WHY_NOT, Load, Said, replicas_of, wait_until_listed, wait_until_whole
from tests.hosts.head_state import redis_program
from tests.hosts.hosts import Machines
from tests.worlds.outside import soon

WITHOUT = WHY_NOT or ("" if redis_program() else "needs a server: apt-get install redis-server")
pytestmark = pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT)


def test_workers_serve_without_the_head_and_it_finds_them_again(cluster: Machines) -> None:
    said = Said()
    head, workers = cluster["head"], [cluster["worker-1"], cluster["worker-2"]]
    for worker in workers:
        wait_until_whole(worker, 240)
    before = {worker.name: replicas_of(worker) for worker in workers}
    assert all(before.values())
    with Load(workers[0]) as load:
        soon(load.answers.total, lambda answers: answers > 8)
        head.power_off()
        alone = load.answers.total()
        said("the head lost its power")
        soon(load.answers.total, lambda answers: answers > alone + 25)
        said(f"without it: {load.answers.total() - alone} answers")
        head.power_on()
        cluster.run(UP, timeout=400)
        said("ray up is done")
        for worker in workers:
            wait_until_listed(cluster, worker, True)
        said("both workers are listed")
        back = load.answers.total()
        soon(load.answers.total, lambda answers: answers > back + 10)
    said(f"{dict(load.answers)}; {len(load.acknowledged)} events acknowledged")
    assert {worker.name: replicas_of(worker) for worker in workers} == before, "no replica was started anew"
    assert load.lost(cluster) == set()
    assert load.errors == {}
