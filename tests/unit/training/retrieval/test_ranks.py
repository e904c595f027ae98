"""Ranks among all items, against sorting; and what is popular, against counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worlds.sequences import sequences_of
from training.metrics.ranking import ndcg
from training.retrieval.cases import Cases, split
from training.retrieval.popular import DAY, popular_lately
from training.retrieval.ranks import rank_all


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_ranks_are_those_of_a_sort(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    users = [rng.integers(0, 15, rng.integers(2, 9)).tolist() for _ in range(7)]
    cases = split(sequences_of(users), "leave-one-out")
    table = rng.integers(0, 4, (len(cases.user), cases.known.n_items)).astype(np.float32)
    found = rank_all(cases, lambda chunk: table[chunk].copy(), k)
    recall, gains, shown = [], [], set()
    for row, (user, wanted) in enumerate(zip(cases.user.tolist(), cases.wanted.tolist(), strict=True)):
        had = set(cases.known.items[cases.known.of(user)].tolist()) - {wanted}
        others = [table[row, i] for i in range(cases.known.n_items) if i != wanted and i not in had]
        rank = sum(score >= table[row, wanted] for score in others)
        assert found.unseen[row] == rank
        assert found.every[row] == sum(table[row] >= table[row, wanted]) - 1
        recall.append(rank < k)
        hits = np.zeros(max(k, rank + 1))
        hits[rank] = 1
        gains.append(ndcg(hits, k))
        shown |= {int(i) for i in np.argsort(-table[row]) if int(i) not in had}
    figures = found.figures(k)
    assert figures[f"recall@{k}"] == pytest.approx(np.mean(recall))
    assert figures[f"ndcg@{k}"] == pytest.approx(np.mean(gains))
    assert set(np.flatnonzero(found.shown).tolist()) <= set(range(cases.known.n_items))


def test_the_wanted_item_counts_though_the_user_has_had_it() -> None:
    cases = split(sequences_of([[0, 1, 2, 0]]), "leave-one-out")
    found = rank_all(cases, lambda chunk: np.array([[0.0, 5.0, 5.0]], np.float32), 1)
    assert (found.unseen.tolist(), found.every.tolist()) == ([0], [2])


def test_popular_is_of_the_seven_days_before_that_day() -> None:
    days = [0, 1, 6, 9, 9]
    known = sequences_of([[0, 1, 1, 2, 3]], [[day * DAY + 5 for day in days]])
    cases = Cases(known, np.array([0, 0, 0]), np.array([0, 0, 0]), np.array([9 * DAY + 9, 10 * DAY, 400 * DAY]))
    scores = popular_lately(cases)(np.arange(3))
    assert scores[0].tolist() == [0, 1, 0, 0], "days 2 to 8"
    assert scores[1].tolist() == [0, 1, 1, 1], "days 3 to 9"
    assert scores[2].tolist() == [1, 2, 1, 1], "nothing of late: all of time"
