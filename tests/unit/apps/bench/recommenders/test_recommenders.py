"""Recommenders to compare with: each equals a slow, obvious form of its paper, knows the past only, ranks all pins."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.backfill.history import PastEvents
from apps.bench.recommenders.als import ALS
from apps.bench.recommenders.ease import EASE, LARGEST
from apps.bench.recommenders.likes import Likes
from apps.bench.recommenders.neighbours import ItemKNN, RP3beta
from apps.bench.recommenders.panel import PeerPanel, recommenders
from apps.bench.recommenders.popularity import DAY_US, Popularity, Trending
from apps.bench.recommenders.recommender import Question, Recommender
from apps.bench.recommenders.sasrec import NextLike, sequences
from apps.reports.stages_protocol import positive_actions
from tests.worlds.funnel import ask, opened_world

NOW = 10**9


def likes_of(dense: np.ndarray) -> Likes:
    """Everybody's likes one microsecond apart, in the order of the pins."""
    user, pin = np.nonzero(dense)
    return Likes(np.arange(dense.shape[1]), np.arange(dense.shape[0]), user, pin, np.arange(len(pin)))


def some_likes(seed: int, users: int, pins: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((users, pins)) < 0.3).astype(float)


SIZES = given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 12))


@SIZES
@settings(max_examples=60, deadline=None)
def test_ease_is_the_best_linear_model_without_a_diagonal(seed: int, users: int, pins: int) -> None:
    """Column by column: ridge regression of a pin on all others, which needs no inverse of the whole."""
    dense, regularisation = some_likes(seed, users, pins), 2.0
    peer = EASE(regularisation)
    peer.fit(likes_of(dense), NOW)
    liked = np.flatnonzero(some_likes(seed + 1, 1, pins)[0])
    scores = peer.score(Question(liked, NOW))
    for pin in np.setdiff1d(np.arange(pins), liked):
        others = np.delete(np.arange(pins), pin)
        x = dense[:, others]
        weight = np.linalg.solve(x.T @ x + regularisation * np.eye(pins - 1), x.T @ dense[:, pin])
        assert scores[pin] == pytest.approx(weight[np.isin(others, liked)].sum(), abs=1e-8)


@SIZES
@settings(max_examples=60, deadline=None)
def test_rp3beta_is_the_product_of_dense_transitions(seed: int, users: int, pins: int) -> None:
    dense = some_likes(seed, users, pins)
    peer = RP3beta(beta=0.5)
    peer.fit(likes_of(dense), NOW)
    to_users = dense.T / np.maximum(dense.sum(axis=0), 1)[:, None]
    to_pins = dense / np.maximum(dense.sum(axis=1), 1)[:, None]
    candidates = to_users @ to_pins / np.maximum(dense.sum(axis=0), 1) ** 0.5
    liked = np.array([0, pins - 1])
    assert peer.score(Question(liked, NOW)) == pytest.approx(candidates[np.unique(liked)].sum(axis=0), abs=1e-6)


@SIZES
@settings(max_examples=60, deadline=None)
def test_item_knn_is_a_shrunk_cosine(seed: int, users: int, pins: int) -> None:
    dense = some_likes(seed, users, pins)
    peer = ItemKNN(shrinkage=3.0)
    peer.fit(likes_of(dense), NOW)
    expected = np.zeros(pins)
    for pin in range(pins):
        for liked in (0, 1):
            if pin != liked:
                norms = np.linalg.norm(dense[:, pin]) * np.linalg.norm(dense[:, liked])
                expected[pin] += dense[:, pin] @ dense[:, liked] / (norms + 3.0)
    assert peer.score(Question(np.array([1, 0]), NOW)) == pytest.approx(expected, abs=1e-6)


def test_als_goes_down_its_own_loss_and_ends_where_each_user_is_solved() -> None:
    dense = some_likes(3, 9, 14)
    losses = []
    for rounds in (1, 2, 4, 8):
        peer = ALS(factors=3, regularisation=0.5, confidence=4.0, rounds=rounds)
        peer.fit(likes_of(dense), NOW)
        pins, loss = peer._pins, 0.0
        for row in dense:
            weight = 1.0 + 4.0 * row  # the loss of the paper, written out: confidence times squared error
            user = np.linalg.solve(pins.T @ np.diag(weight) @ pins + 0.5 * np.eye(3), pins.T @ (weight * row))
            assert peer.score(Question(np.flatnonzero(row), NOW)) == pytest.approx(pins @ user)
            loss += weight @ (row - pins @ user) ** 2 + 0.5 * user @ user
        losses.append(loss + 0.5 * (pins**2).sum())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_popularity_counts_all_time_and_trending_the_last_days() -> None:
    pin, at = np.array([0, 0, 0, 1, 1, 2]), np.array([1, 2, 3, 40, 41, 60]) * DAY_US
    likes = Likes(np.arange(3), np.arange(6), np.arange(6), pin, at)
    always, lately = Popularity(), Trending(days=30)
    always.fit(likes, 50 * DAY_US)
    lately.fit(likes, 50 * DAY_US)
    nobody = np.empty(0, np.int64)
    assert always.score(Question(nobody, 60 * DAY_US)).tolist() == [3, 2, 0]  # as of the slice
    assert lately.score(Question(nobody, 60 * DAY_US)).tolist() == [0, 2, 0]  # as of the request, which is not the past
    assert lately.score(Question(nobody, 60 * DAY_US + 1)).tolist() == [0, 2, 1]


@given(st.lists(st.integers(0, 9), max_size=5), st.integers(3, 6), st.integers(0, 99))
def test_every_like_but_the_first_is_predicted_once(sizes: list[int], length: int, seed: int) -> None:
    user = np.repeat(np.arange(len(sizes)), sizes)
    pin = np.random.default_rng(seed).integers(0, 50, len(user))
    likes = Likes(np.arange(50), np.arange(len(sizes)), user, pin, np.arange(len(user)))
    pieces = sequences(likes, length).numpy()
    pairs = [(old, new) for row in pieces for new, old in pairwise(row) if old and new]
    expected = [(old + 1, new + 1) for person in range(len(sizes)) for old, new in pairwise(pin[user == person])]
    assert sorted(pairs) == sorted(expected)


def test_sasrec_learns_what_follows_and_looks_at_nothing_newer() -> None:
    cycle = np.tile(np.arange(12), 4)
    user = np.repeat(np.arange(8), len(cycle))
    pin = np.concatenate([np.roll(cycle, shift) for shift in range(8)])
    likes = Likes(np.arange(12), np.arange(8), user, pin, np.arange(len(user)))
    peer = NextLike(length=8, epochs=30, batch=8)
    peer.fit(likes, NOW)
    for last in (0, 5, 11):
        assert peer.score(Question(np.array([last - 2, last - 1, last]) % 12, NOW)).argmax() == (last + 1) % 12
    sequence = torch.tensor([[4, 3, 2, 1, 0, 0, 0, 0]])
    other = sequence.clone()
    other[0, 0] = 9
    with torch.no_grad():
        assert torch.equal(peer._net.states(sequence)[0, 1:], peer._net.states(other)[0, 1:])


@pytest.mark.parametrize("peer", [*recommenders(), NextLike(length=4, epochs=1)], ids=lambda peer: peer.name)
def test_nothing_later_than_the_slice_is_learned(peer: Recommender) -> None:
    """Another future gives the same scores; only trending may see what lies between the slice and the request."""
    dense = some_likes(5, 10, 12)
    likes = likes_of(dense)
    before, now = len(likes.at) // 2, len(likes.at) // 2
    rng = np.random.default_rng(1)
    pin = np.where(likes.at < before, likes.pin, rng.permutation(likes.pin))
    changed = Likes(likes.pin_ids, likes.user_ids, likes.user, pin, likes.at)
    question = Question(np.array([1, 2]), now)
    peer.fit(likes, before)
    first = peer.score(question)
    peer.fit(changed, before)
    assert np.array_equal(first, peer.score(question))


def test_the_panel_ranks_all_pins_but_the_excluded_ones(tmp_path) -> None:
    from apps.backfill.replay import Replay

    opened = opened_world(tmp_path)
    history = Replay(opened).history
    panel = PeerPanel(history, positive_actions(opened, "homefeed"), recommenders())
    panel.refit(int(np.median(history.at)))
    pins = np.unique(history.events["pin_id"].to_numpy())
    excluded = tuple(pins[::3].tolist())
    user = history.events["user_id"][0].as_py()
    found = panel.orders(ask(user_id=user, exclude=(*excluded, -1)), len(pins))
    assert list(found) == [peer.name for peer in recommenders()] == list(panel.titles)
    for order in found.values():
        assert sorted(order.tolist()) == sorted(set(pins.tolist()) - set(excluded))
    assert panel.missing == {}


def test_only_positive_actions_before_the_request_are_likes() -> None:
    import pyarrow as pa

    rows = [("b", "x", "save", 1), ("a", "y", "hide", 2), ("a", "z", "save", 3), ("a", "x", "click", 5)]
    user, pin, action, at = zip(*rows, strict=True)
    table = {"user_id": user, "pin_id": pin, "action": action, "client": [None] * 4, "occurred_at": at}
    events = pa.table({name: pa.array(values) for name, values in table.items()})
    likes = Likes.of(PastEvents.of(events), ("save", "click"))
    assert likes.pin_ids.tolist() == ["x", "y", "z"]
    assert likes.matrix().toarray().tolist() == [[1, 0, 1], [1, 0, 0]]
    assert likes.of_user("a", 5).tolist() == [2]
    assert likes.of_user("a", 6).tolist() == [2, 0]
    assert likes.of_user("nobody", 6).tolist() == []
    assert likes.of_user(None, 6).tolist() == []
    assert likes.before(3).matrix().toarray().tolist() == [[0, 0, 0], [1, 0, 0]]


def test_what_is_too_large_is_said() -> None:
    assert EASE(300.0).unfit(LARGEST, 10**6) == ""
    assert f"{LARGEST + 1:,} users" in EASE(300.0).unfit(LARGEST + 1, 10**6)
    empty = PastEvents.of(_no_events())
    panel = PeerPanel(empty, (), [_TooLarge()])
    assert panel.missing == {"too_large": "not scored: so it is"}
    assert panel.orders(ask(), 5) == {}


class _TooLarge(Popularity):
    name, title = "too_large", "Too large"

    def unfit(self, users: int, pins: int) -> str:
        return "so it is"


def _no_events():
    import pyarrow as pa

    return pa.table(
        {
            "user_id": pa.array([1]),
            "pin_id": pa.array([1]),
            "action": pa.array(["hide"]),
            "client": pa.array([""]),
            "occurred_at": pa.array([1]),
        }
    )
