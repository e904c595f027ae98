"""Who liked which pin when: all that the recommenders here are fitted on. Knows nothing of graphs, funnels or logs."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from apps.backfill.history import PastEvents


@dataclass(frozen=True)
class Likes:
    """Every positive action of a history, by user and time. Pins and users are codes, from 0."""

    pin_ids: np.ndarray  # int64 or object, sorted: the id of each pin code
    user_ids: np.ndarray  # the same of each user code
    user: np.ndarray  # int64[E]
    pin: np.ndarray  # int64[E]
    at: np.ndarray  # int64[E], microseconds

    @classmethod
    def of(cls, history: PastEvents, positive: Collection[str]) -> "Likes":
        """Of the actions named `positive`. Pins and users without any have a code, too."""
        pin_ids, pin = np.unique(_ids(history, "pin_id"), return_inverse=True)
        user_ids, user = np.unique(_ids(history, "user_id"), return_inverse=True)
        good = np.isin(history.events["action"].to_numpy().astype(str), list(positive))
        return cls(pin_ids, user_ids, user[good], pin[good], history.at[good])

    @property
    def shape(self) -> tuple[int, int]:
        """Users and pins."""
        return len(self.user_ids), len(self.pin_ids)

    def before(self, moment: int) -> "Likes":
        """Those strictly before `moment` (microseconds), with the same codes."""
        known = self.at < moment
        return Likes(self.pin_ids, self.user_ids, self.user[known], self.pin[known], self.at[known])

    def matrix(self) -> sparse.csr_matrix:
        """float32[users, pins]: 1 where a user liked a pin, however often."""
        out = sparse.csr_matrix((np.ones(len(self.pin), np.float32), (self.user, self.pin)), shape=self.shape)
        out.sum_duplicates()
        out.data[:] = 1.0
        return out

    def codes(self, ids: Collection[int | str]) -> np.ndarray:
        """The codes of those pin ids that the history names: int64[<= len(ids)]."""
        wanted = np.array(list(ids), dtype=self.pin_ids.dtype)
        at = np.minimum(np.searchsorted(self.pin_ids, wanted), len(self.pin_ids) - 1)
        found: np.ndarray = at[self.pin_ids[at] == wanted]
        return found

    def of_user(self, user_id: int | str | None, before: int) -> np.ndarray:
        """Pins that the user liked before a moment, oldest first: int64[h], codes."""
        if user_id is None:
            return np.empty(0, np.int64)
        code = int(np.searchsorted(self.user_ids, user_id))
        if code == len(self.user_ids) or self.user_ids[code] != user_id:
            return np.empty(0, np.int64)
        begin, end = np.searchsorted(self.user, [code, code + 1])
        return self.pin[begin : begin + int(np.searchsorted(self.at[begin:end], before))]


def _ids(history: PastEvents, column: str) -> np.ndarray:
    ids: np.ndarray = history.events[column].to_numpy()
    return ids
