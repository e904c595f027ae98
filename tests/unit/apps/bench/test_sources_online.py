"""The bench of sources online: quotas that score as many candidates as the walk alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apps.bench.learning.sources_online import ROUNDS, SHARES, equal_quotas, judged
from apps.world.traffic import Traffic
from cluster.settings.project import DEFAULT_ACTIONS
from training.quotas.seen import SeenCandidates, replay

SOURCES = ("walk", *SHARES)


def seen_candidates(requests: int, walked: int, others: int, pins: int, seed: int) -> SeenCandidates:
    """Each source ranks some of the pins, drawn for each request."""
    rng = np.random.default_rng(seed)
    number, ranks = [], []
    for request in range(requests):
        rank = np.full((pins, len(SOURCES)), -1, np.int32)
        for column in range(len(SOURCES)):
            found = rng.permutation(pins)[: walked if column == 0 else others]
            rank[found, column] = np.arange(len(found))
        rank = rank[(rank >= 0).any(axis=1)]
        number.append(np.full(len(rank), request))
        ranks.append(rank)
    each, rank = np.concatenate(number), np.concatenate(ranks)
    return SeenCandidates(SOURCES, each, rank, np.zeros(len(each), bool), np.ones(len(each)), np.zeros((requests, 2)))


@given(st.integers(1, 5), st.integers(20, 60), st.integers(1, 30), st.integers(60, 90), st.integers(0, 99))
def test_no_larger_quota_of_the_walk_scores_as_few(
    requests: int, walked: int, others: int, pins: int, seed: int
) -> None:
    seen = seen_candidates(requests, walked, others, pins, seed)
    quotas = equal_quotas(seen)
    assert tuple(quotas) == SOURCES
    assert quotas["boards"] == round(SHARES["boards"] * walked)
    limits = np.array(list(quotas.values()))
    assert replay(seen, limits).cost <= walked
    more = limits + np.eye(len(limits), dtype=int)[0]
    assert replay(seen, more).cost > walked or quotas["walk"] == walked


def test_lifts_are_of_both_worlds_and_of_each_and_by_round() -> None:
    parts = {}
    for seed in (1, 2):
        traffic = Traffic.empty(("homefeed", "ads"), ("walk", "all"), DEFAULT_ACTIONS, np.arange(3))
        traffic.shown[:] = 100
        traffic.did[:, 0, :, :] = 4
        traffic.did[:, 1, :, :] = 4 + seed
        parts[str(seed)] = dict.fromkeys(ROUNDS, traffic)
    found = judged(parts)
    assert {seed: row["homefeed"]["lift"] for seed, row in found["online_by_seed"].items()} == {"1": 0.25, "2": 0.5}
    assert found["online"]["all"]["homefeed"]["lift"] == 0.375
    assert found["online"]["walk"]["ads"]["lift"] == 0.0
    assert set(found["rounds_before"]) == {"cold", "warm"}
    assert found["rounds_before"]["cold"]["ads"]["action"] == "long_click"
