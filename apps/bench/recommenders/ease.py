"""EASE: a linear model from pins to pins with a closed form."""

import numpy as np

from apps.bench.recommenders.likes import Likes
from apps.bench.recommenders.recommender import Question

LARGEST = 12_000
"""Rows of the largest inverse: 1.2 GB in double precision, some minutes on two cores."""


class EASE:
    """Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019.

    With P = (XᵀX + λI)⁻¹ the weights are B = I - P / diag(P), columns divided, and a user x scores x B. Where there are
    fewer users than pins, P is taken from the smaller inverse: P = (I - Xᵀ (XXᵀ + λI)⁻¹ X) / λ (Woodbury).
    """

    def __init__(self, regularisation: float):
        self._regularisation = regularisation
        self.name = f"ease_{regularisation:g}"
        self.title = f"EASE, λ = {regularisation:g}"

    def unfit(self, users: int, pins: int) -> str:
        """The smaller side is inverted."""
        if min(users, pins) <= LARGEST:
            return ""
        return f"{users:,} users and {pins:,} pins: an inverse of more than {LARGEST:,} rows"

    def fit(self, likes: Likes, before: int) -> None:
        """Invert the smaller of the two Gram matrices. Only users with likes take part."""
        matrix = likes.before(before).matrix()
        matrix = matrix[np.diff(matrix.indptr) > 0].astype(np.float64)
        users, pins = matrix.shape
        self._dual = users < pins
        gram = (matrix @ matrix.T if self._dual else matrix.T @ matrix).toarray()
        inverse = np.linalg.inv(gram + self._regularisation * np.eye(len(gram)))
        if self._dual:
            self._matrix = matrix
            self._reach = (matrix.T @ inverse).T  # float64[users, pins]: K X
            share = np.asarray(matrix.multiply(self._reach).sum(axis=0)).ravel()
            self._diagonal = (1.0 - share) / self._regularisation
        else:
            self._inverse = inverse
            self._diagonal = np.diag(inverse)

    def score(self, question: Question) -> np.ndarray:
        """x B for the pins that the user did not like: their own weight is none, so x - x P / diag(P) is that."""
        liked = np.unique(question.liked)
        own = np.zeros(len(self._diagonal))
        own[liked] = 1.0
        if self._dual:
            through = np.asarray(self._matrix[:, liked].sum(axis=1)).ravel() @ self._reach
            reached = (own - through) / self._regularisation
        else:
            reached = self._inverse[liked].sum(axis=0)
        scores: np.ndarray = own - reached / self._diagonal
        return scores
