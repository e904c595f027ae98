"""Forbidden labels take pins out, demoted ones lower their score."""

import numpy as np

from cluster.settings.clients import PolicySettings
from serving.policy.slate import Slate
from serving.policy.steps.labels import demote, demoted, forbid, forbidden
from tests.unit.serving.policy.steps.slates import bare, empty, request


def test_labelled_pins_go_and_are_counted() -> None:
    slate = Slate(np.array([1, 2, 3, 4]), np.array([4.0, 3, 2, 1]), labels=np.array([0, 1, 2, 3]))
    kept = forbid(slate, request(), mask=2)
    assert kept.pin.tolist() == [1, 2]
    assert kept.labels is not None
    assert kept.labels.tolist() == [0, 1]
    assert kept.removed == {"policy": 2}


def test_demotion_lowers_scores_of_either_sign() -> None:
    slate = Slate(np.array([1, 2, 3]), np.array([1.0, 0.8, -0.1]), labels=np.array([1, 0, 1]))
    out = demote(slate, request(), mask=1, factor=0.5)
    assert out.pin.tolist() == [2, 1, 3]
    np.testing.assert_allclose(out.score, [0.8, 0.5, -0.2])


def test_without_labels_nothing_changes() -> None:
    slate = bare()
    assert forbid(slate, request(), mask=1) is slate
    assert demote(slate, request(), mask=1, factor=0.5) is slate
    assert len(demote(forbid(empty(), request(), mask=1), request(), mask=1, factor=0.5).pin) == 0


def test_a_client_without_rules_has_no_such_steps() -> None:
    assert list(forbidden(PolicySettings())) == list(demoted(PolicySettings())) == []
    policy = PolicySettings(forbid={"rating": ("adult",)}, demote={"shop": {"mall": 0.5, "kiosk": 0.9}})
    assert len(list(forbidden(policy))) == 1
    assert len(list(demoted(policy))) == 2
