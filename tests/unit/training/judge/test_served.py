"""The order that a full ranker's scores make of a sample of candidates, against the whole list written out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.judge.served import as_served


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 30))
def test_survivors_by_the_full_ranker_and_the_rest_as_before(seed: int, n: int, survivors: int) -> None:
    rng = np.random.default_rng(seed)
    score, before = rng.permutation(n).astype(float), rng.permutation(n).astype(float)
    stands_for = rng.integers(1, 5, n).astype(float)
    everyone = [c for c in sorted(range(n), key=lambda c: -before[c]) for _ in range(int(stands_for[c]))]
    through = set(everyone[:survivors])
    wanted = sorted(through, key=lambda c: -score[c]) + [c for c in dict.fromkeys(everyone) if c not in through]
    found = as_served(score, before, stands_for, survivors)
    assert np.argsort(-found).tolist() == wanted


def test_equal_scores_keep_the_order_of_the_log() -> None:
    found = as_served(np.zeros(4), np.array([0.0, 3.0, 3.0, 1.0]), np.ones(4), 3)
    assert np.argsort(-found).tolist() == [1, 2, 3, 0]
