"""When a log holds too little out to judge by, and which of its other requests may judge too. Without Ray."""

from dataclasses import replace

import numpy as np
import pytest

from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.training import requests
from training.judge.lightweight import tells_orders_apart, worth_of
from training.lightweight.judged_requests import ENOUGH, JudgedRequests, too_few


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), ("homefeed",), requests=40, n=40)


def test_only_requests_that_tell_orders_apart_are_counted(world: LogsWorld) -> None:
    client, actions = world.clients["homefeed"], world.project.actions
    worth = worth_of(client, actions)
    found = requests(world, "homefeed")
    [telling] = [r for r in found if tells_orders_apart(r, worth)][:1]
    silent = replace(telling, actions=np.zeros_like(telling.actions))
    assert not tells_orders_apart(silent, worth)
    just, less = [telling] * ENOUGH, [telling] * (ENOUGH - 1) + [silent]
    assert not too_few(just, client, actions)
    assert too_few(less, client, actions)


def test_joined_keeps_the_order_and_counts_what_was_crossed(world: LogsWorld) -> None:
    one, two, *_ = requests(world, "homefeed")
    early = JudgedRequests([one], [np.zeros(one.n, np.float32)], 1)
    late = JudgedRequests([two], [np.ones(two.n, np.float32)])
    both = early.joined(late)
    assert [r.request_id for r in both.requests] == [one.request_id, two.request_id]
    assert [float(s[0]) for s in both.scores] == [0.0, 1.0]
    assert both.crossed == 1
