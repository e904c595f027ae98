"""ALS: matrix factorisation of likes, users and pins solved in turn."""

import numpy as np
from scipy import sparse

from apps.bench.recommenders.likes import Likes
from apps.bench.recommenders.recommender import Question, Small


class ALS(Small):
    """Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008.

    A like counts 1 + `confidence`, everything else 1 as a 0. A user is solved for anew at each request, so what was
    liked since the fit counts.
    """

    name = "als"
    title = "ALS"

    def __init__(
        self, factors: int = 64, regularisation: float = 20.0, confidence: float = 5.0, rounds: int = 15, seed: int = 0
    ):
        self._factors = factors
        self._regularisation = regularisation
        self._confidence = confidence
        self._rounds = rounds
        self._seed = seed

    def fit(self, likes: Likes, before: int) -> None:
        """`rounds` times the users, then the pins."""
        matrix = likes.before(before).matrix()
        by_pin = matrix.T.tocsr()
        rng = np.random.default_rng(self._seed)
        self._pins = rng.normal(0.0, 0.01, (matrix.shape[1], self._factors))
        for _ in range(self._rounds):
            self._pins = self._solved(by_pin, self._solved(matrix, self._pins))
        self._of_pins = self._gram(self._pins)

    def score(self, question: Question) -> np.ndarray:
        """The factors of a user with these likes, times those of each pin."""
        scores: np.ndarray = self._pins @ self._row(np.unique(question.liked), self._pins, self._of_pins)
        return scores

    def _solved(self, matrix: sparse.csr_matrix, other: np.ndarray) -> np.ndarray:
        """The factors of each row of float32[n, m], given those of its columns: float64[n, factors]."""
        gram = self._gram(other)
        rows = [matrix.indices[a:b] for a, b in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)]
        return np.stack([self._row(columns, other, gram) for columns in rows])

    def _row(self, columns: np.ndarray, other: np.ndarray, gram: np.ndarray) -> np.ndarray:
        """Least squares of one row that likes these columns."""
        if not len(columns):
            return np.zeros(self._factors)
        liked = other[columns]
        right = (1.0 + self._confidence) * liked.sum(axis=0)
        solved: np.ndarray = np.linalg.solve(gram + self._confidence * liked.T @ liked, right)
        return solved

    def _gram(self, other: np.ndarray) -> np.ndarray:
        gram: np.ndarray = other.T @ other + self._regularisation * np.eye(self._factors)
        return gram
