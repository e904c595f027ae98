"""What most people like: of all time, and of the last days."""

import numpy as np

from apps.bench.recommenders.likes import Likes
from apps.bench.recommenders.recommender import Question, Small

DAY_US = 86_400 * 10**6


class Popularity(Small):
    """Likes of each pin before the moment that it was fitted at."""

    name = "popularity_all_time"
    title = "popularity, all time"

    def fit(self, likes: Likes, before: int) -> None:
        """Count."""
        self._count = np.bincount(likes.before(before).pin, minlength=likes.shape[1])

    def score(self, question: Question) -> np.ndarray:
        """The same for everybody."""
        return self._count


class Trending(Small):
    """Likes of each pin in the days up to the request: later ones than those it was fitted on, never later than it."""

    name = "trending"

    def __init__(self, days: int = 30):
        self._days = days
        self.title = f"trending, {days} days"

    def fit(self, likes: Likes, before: int) -> None:
        """Sort by time."""
        order = np.argsort(likes.at, kind="stable")
        self._at = likes.at[order]
        self._pin = likes.pin[order]
        self._pins = likes.shape[1]

    def score(self, question: Question) -> np.ndarray:
        """Counts of the days before the request."""
        begin, end = np.searchsorted(self._at, [question.at - self._days * DAY_US, question.at])
        return np.bincount(self._pin[begin:end], minlength=self._pins)
