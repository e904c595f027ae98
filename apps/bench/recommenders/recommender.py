"""What a recommender here is: fitted on the likes before a moment, it scores every pin for a user."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from apps.bench.recommenders.likes import Likes


@dataclass(frozen=True)
class Question:
    """One request, as a recommender sees it."""

    liked: np.ndarray  # int64[h], pin codes that the user liked before, oldest first
    at: int  # microseconds


class Recommender(Protocol):
    """Fitted anew as time goes on."""

    name: str  # in figures
    title: str  # for people

    def unfit(self, users: int, pins: int) -> str:
        """Why it cannot be fitted on a history of this size; empty when it can."""

    def fit(self, likes: Likes, before: int) -> None:
        """Learn from what happened before a moment (microseconds) and from nothing later."""

    def score(self, question: Question) -> np.ndarray:
        """float[pins], the best is the largest."""


class Small:
    """A recommender that fits a history of any size that this machine holds."""

    def unfit(self, users: int, pins: int) -> str:
        """Nothing is too large."""
        return ""


def as_row(liked: np.ndarray, pins: int) -> sparse.csr_matrix:
    """The liked pins as a row of the matrix: float32[1, pins], 1 for each."""
    pin = np.unique(liked)
    return sparse.csr_matrix((np.ones(len(pin), np.float32), (np.zeros(len(pin), int), pin)), shape=(1, pins))
