"""The recommenders beside the stages of the funnel: over the same requests and exclusions, refit at each slice.

They rank every pin that the history names, not the walk's candidates alone.
"""

from collections.abc import Collection, Sequence

import numpy as np

from apps.backfill.history import PastEvents
from apps.bench.recommenders.als import ALS
from apps.bench.recommenders.ease import EASE
from apps.bench.recommenders.likes import Likes
from apps.bench.recommenders.neighbours import ItemKNN, RP3beta
from apps.bench.recommenders.popularity import Popularity, Trending
from apps.bench.recommenders.recommender import Question, Recommender
from serving.forest.top import top_k
from serving.request.ask import WalkAsk


def recommenders(slow: bool = False) -> list[Recommender]:
    """Those that are fitted in seconds; with `slow` also SASRec, which takes a minute a slice on MovieLens 100K."""
    quick: list[Recommender] = [
        Popularity(),
        Trending(),
        ItemKNN(),
        RP3beta(),
        EASE(100.0),
        EASE(300.0),
        EASE(500.0),
        ALS(),
    ]
    if not slow:
        return quick
    from apps.bench.recommenders.sasrec import NextLike  # torch loads only for it

    return [*quick, NextLike()]


class PeerPanel:
    """Orders of all pins by each recommender (`apps.reports.stages_orders.MoreOrders`)."""

    def __init__(self, history: PastEvents, positive: Collection[str], peers: Sequence[Recommender]):
        """`positive`: the actions that count as a like."""
        self._likes = Likes.of(history, positive)
        why = {peer.name: peer.unfit(*self._likes.shape) for peer in peers}
        self._peers = [peer for peer in peers if not why[peer.name]]
        self.titles = {peer.name: peer.title for peer in peers}
        self.missing = {name: f"not scored: {reason}" for name, reason in why.items() if reason}

    def refit(self, begin: int) -> None:
        """Learn from all that happened before a slice begins (microseconds)."""
        for peer in self._peers:
            peer.fit(self._likes, begin)

    def orders(self, ask: WalkAsk, k: int) -> dict[str, np.ndarray]:
        """The best k pin ids by each recommender, without those that the request excludes."""
        question = Question(self._likes.of_user(ask.user_id, ask.at), ask.at)
        free = np.delete(np.arange(self._likes.shape[1]), self._likes.codes(ask.exclude))
        scores = {peer.name: np.asarray(peer.score(question), np.float32) for peer in self._peers}
        return {name: self._likes.pin_ids[free[top_k(score[free], k)[0]]] for name, score in scores.items()}
