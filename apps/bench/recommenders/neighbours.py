"""Pins like those that the user liked: ItemKNN and RP3beta. Both are one sparse matrix of pins by pins."""

import numpy as np
from scipy import sparse

from apps.bench.recommenders.likes import Likes
from apps.bench.recommenders.recommender import Question, Small, as_row


class ItemKNN(Small):
    """Cosine of the likes of two pins, shrunk towards 0 where few liked both; all neighbours count.

    Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001; shrinkage as in Bell and
    Koren, "Scalable collaborative filtering with jointly derived neighborhood interpolation weights", ICDM 2007.
    """

    name = "item_knn"
    title = "ItemKNN"

    def __init__(self, shrinkage: float = 20.0):
        self._shrinkage = shrinkage

    def fit(self, likes: Likes, before: int) -> None:
        """similarity = |both| / (√|one| √|other| + shrinkage)."""
        matrix = likes.before(before).matrix()
        both = (matrix.T @ matrix).tocoo()
        length = np.sqrt(np.bincount(matrix.indices, minlength=matrix.shape[1]))
        value = both.data / (length[both.row] * length[both.col] + self._shrinkage)
        value[both.row == both.col] = 0.0
        self._similarity = sparse.csr_matrix((value, (both.row, both.col)), shape=both.shape)

    def score(self, question: Question) -> np.ndarray:
        """Sum of the similarities to the liked pins."""
        return (as_row(question.liked, self._similarity.shape[0]) @ self._similarity).toarray()[0]


class RP3beta(Small):
    """Chance of a random walk pin → user → pin from the liked pins, divided by popularity^beta.

    Paudel et al., "Updatable, accurate, diverse, and scalable recommendations for interactive applications", TiiS 2017.
    """

    name = "rp3beta"
    title = "RP3β"

    def __init__(self, beta: float = 0.3):
        self._beta = beta

    def fit(self, likes: Likes, before: int) -> None:
        """The two steps of the walk; their product is not formed."""
        matrix = likes.before(before).matrix()
        popularity = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1)
        self._to_users = sparse.diags(1.0 / popularity) @ matrix.T
        self._to_pins = sparse.diags(1.0 / np.maximum(np.diff(matrix.indptr), 1)) @ matrix
        self._discount = popularity**-self._beta

    def score(self, question: Question) -> np.ndarray:
        """Each liked pin starts one walk."""
        users = as_row(question.liked, len(self._discount)) @ self._to_users
        return (users @ self._to_pins).toarray()[0] * self._discount
