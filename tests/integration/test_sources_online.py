"""A closed loop of all sources, small, beside the walk alone: over the API, with logs and models of its own."""

from pathlib import Path

import numpy as np
import pytest

from apps.bench.learning.arms import Size, copied, open_world, visits
from apps.bench.learning.sources_online import ROUNDS, SHARES, answers_since, closed_loop, equal_clients
from apps.world.plan import Arm, SimulationPlan, split_users


def test_a_loop_of_all_sources_scores_as_many_candidates_as_the_walk(tmp_path: Path, ray_session: None) -> None:
    size = Size(pins=1500, boards=400, users=60, cold=100, warm=20, measured=30)
    world, opened = open_world(5, size, tmp_path / "world", {})
    train, held_out = split_users(world)
    every = equal_clients(world, opened, tmp_path / "quotas", train, 60, seed=5)
    traffic, served = closed_loop(world, copied(opened, tmp_path / "all", every), "all", size, seed=5)
    assert tuple(traffic) == ROUNDS
    assert served["gate"]["first"].keys() == served["gate"]["second"].keys() == opened.clients.keys()

    walk = copied(opened, tmp_path / "walk", opened.clients)
    even = dict.fromkeys(opened.clients, 0.2)
    came = visits(world, walk, SimulationPlan(held_out, size.measured, 5.0, 2.0, (Arm("walk", "ranked"),), even, 7))
    np.testing.assert_array_equal(traffic["later"].requests, came.requests)  # so that users are paired
    for client, counts in answers_since(walk.new_process().logs, world.moment(5.0)).items():
        ours = served["clients"][client]
        assert ours["candidates"] == pytest.approx(counts["candidates"], rel=0.05)
        assert ours["quotas"]["walk"] < opened.clients[client].sizes.walk
        assert set(ours["sources"]) >= {"walk", *SHARES}
        assert set(counts["sources"]) <= {"walk", "popular"}  # which fills up for a user without any action
        assert counts["sources"]["walk"]["shown"] == counts["sources"]["walk"]["alone"] > 0.5
    assert any(ours["sources"]["boards"]["shown"] > 0 for ours in served["clients"].values())
