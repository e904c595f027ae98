"""What is published where quotas by request are no better than the same for everyone."""

from dataclasses import replace

import numpy as np

from tests.unit.training.quotas.test_learned import BUDGET, two_kinds
from training.quotas.baselines import static_curve
from training.quotas.demand import known_of
from training.quotas.learn import not_worse
from training.quotas.learned import LearnedQuotas


def test_quotas_by_request_are_kept_where_they_find_more_at_equal_cost() -> None:
    before, after = two_kinds(1), two_kinds(2)
    learned = LearnedQuotas.learn(before, BUDGET)
    learned = replace(learned, price=0.5 * float(learned.path.worth[-1]))
    chosen, gain = not_worse(learned, before, after, 0.9, static_curve(before, BUDGET, after))
    assert chosen is learned
    assert gain.low > 0.5


def test_all_requests_get_the_same_where_later_users_want_the_opposite() -> None:
    before, after = two_kinds(1), two_kinds(2)
    actions = np.expm1(after.known[:, 1]).round().astype(int)
    turned = replace(after, known=known_of(np.ones(len(actions), np.int64), 200 - actions))
    learned = LearnedQuotas.learn(before, BUDGET)
    learned = replace(learned, price=0.5 * float(learned.path.worth[-1]))
    chosen, gain = not_worse(learned, before, turned, 0.9, static_curve(before, BUDGET, turned))
    assert gain.high < -0.5
    assert chosen.quotas(known_of(1, 0)).tolist() == chosen.quotas(known_of(1, 200)).tolist() == [50, 50]
