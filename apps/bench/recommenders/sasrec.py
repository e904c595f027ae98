"""SASRec over all pins: what a user likes next, from the order of the likes before."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from apps.bench.full.peer_sasrec import SASRec
from apps.bench.recommenders.likes import Likes
from apps.bench.recommenders.recommender import Question

LARGEST = 50_000
"""Pins of the largest softmax."""


class NextLike:
    """Kang and McAuley, "Self-attentive sequential recommendation", ICDM 2018, with a softmax over all pins.

    The sampled binary loss of the paper is weaker: Klenitskiy and Vasilev, "Turning dross into gold loss: is BERT4Rec
    really better than SASRec?", RecSys 2023.
    """

    name = "sasrec"
    title = "SASRec"

    def __init__(self, length: int = 50, epochs: int = 30, batch: int = 64, seed: int = 0):
        self._length = length
        self._epochs = epochs
        self._batch = batch
        self._seed = seed

    def unfit(self, users: int, pins: int) -> str:
        """The loss looks at every pin."""
        return "" if pins <= LARGEST else f"{pins:,} pins: a softmax over more than {LARGEST:,}"

    def fit(self, likes: Likes, before: int) -> None:
        """Adam over the pieces of all users' sequences; every like but the first of a piece is predicted."""
        torch.manual_seed(self._seed)
        self._net = SASRec(self._length, likes.shape[1], 64)
        pieces = sequences(likes.before(before), self._length + 1)
        if not len(pieces):
            return
        optimiser = torch.optim.AdamW(self._net.parameters(), 1e-3, weight_decay=1e-3)
        self._net.train()
        for _ in range(self._epochs):
            for rows in torch.randperm(len(pieces)).split(self._batch):
                known, wanted = pieces[rows, 1:], pieces[rows, :-1]
                at = (known > 0) & (wanted > 0)
                optimiser.zero_grad()
                F.cross_entropy(self._logits(self._net.states(known)[at]), wanted[at] - 1).backward()
                optimiser.step()
        self._net.eval()

    def score(self, question: Question) -> np.ndarray:
        """Logits of all pins behind the newest likes."""
        newest = torch.zeros(1, self._length, dtype=torch.long)
        last = question.liked[::-1][: self._length] + 1
        newest[0, : len(last)] = torch.from_numpy(last.copy())
        with torch.no_grad():
            scores: np.ndarray = self._logits(self._net.states(newest)[:, 0])[0].numpy()
        return scores

    def _logits(self, state: Tensor) -> Tensor:
        """States [N, W] → logits of all pins [N, pins]."""
        return state @ self._net.pins.weight[1:].T + self._net.bias.weight[1:, 0]


def sequences(likes: Likes, length: int) -> Tensor:
    """Each user's likes in pieces of `length`, newest first: int64[N, length] of pin codes + 1, 0 behind the oldest.

    The oldest like of a piece is the newest of the next one: every like but a user's first is predicted once.
    """
    starts = np.searchsorted(likes.user, np.arange(likes.shape[0] + 1))
    rows = []
    for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        newest = likes.pin[begin:end][::-1] + 1
        for at in range(0, len(newest) - 1, length - 1):
            piece = newest[at : at + length]
            rows.append(np.pad(piece, (0, length - len(piece))))
    return torch.from_numpy(np.stack(rows) if rows else np.empty((0, length), np.int64))
