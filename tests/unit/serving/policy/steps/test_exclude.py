"""Hidden and seen pins are left out, each counted under its own name."""

import numpy as np

from serving.policy.slate import Slate
from serving.policy.steps.exclude import hidden, seen
from tests.unit.serving.policy.steps.slates import bare, empty, request


def test_hidden_and_seen_pins_go_and_are_counted() -> None:
    slate = Slate(np.array([4, 3, 2, 1]), np.array([4.0, 3, 2, 1]))
    asked = request(hidden=np.array([3, 9]), seen=np.array([1, 2]))
    kept = seen(hidden(slate, asked), asked)
    assert kept.pin.tolist() == [4]
    assert kept.score.tolist() == [4.0]
    assert kept.removed == {"hidden": 1, "seen": 2}
    assert slate.removed == {}


def test_nothing_to_leave_out_changes_nothing() -> None:
    slate = bare()
    assert hidden(slate, request()) is slate
    assert len(seen(empty(), request(seen=np.array([1]))).pin) == 0
