"""UserSequences as padded tensors: to train on, and to ask from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from training.retrieval.sequences import UserSequences


class Batches:
    """Pieces of users' sequences, those of a like length together, so that little is padded."""

    def __init__(self, sequences: UserSequences, length: int, tokens: int) -> None:
        self._sequences = sequences
        self._pieces = list(sequences.pieces(length))
        self._lengths = np.array([piece.stop - piece.start - 1 for piece in self._pieces], np.int64)
        self._size = max(1, tokens // max(1, int(self._lengths.mean()))) if self._pieces else 1
        self.count = -(-len(self._pieces) // self._size)

    def shuffled(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """(items, seconds, asked, wanted), each int64[B, L]; `wanted` is the code of the next item, -1 for none."""
        order = rng.permutation(len(self._pieces))
        order = order[np.argsort(self._lengths[order] // 4, kind="stable")]
        starts = np.arange(0, len(order), self._size)
        for start in rng.permutation(starts).tolist():
            yield padded(self._sequences, [self._pieces[i] for i in order[start : start + self._size]], None)


def padded(
    sequences: UserSequences, spans: list[slice], asked_last: np.ndarray | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Spans of actions as rows. Without `asked_last` the last action of each is only wanted, not known."""
    known = [span.stop - span.start - (asked_last is None) for span in spans]
    shape = (len(spans), max(1, *known))
    items = np.zeros(shape, np.int64)
    seconds = np.zeros(shape, np.int64)
    asked = np.zeros(shape, np.int64)
    wanted = np.full(shape, -1, np.int64)
    for row, (span, n) in enumerate(zip(spans, known, strict=True)):
        stop = span.start + n
        items[row, :n] = sequences.items[span.start : stop] + 1
        seconds[row, :n] = sequences.seconds[span.start : stop]
        if asked_last is None:
            asked[row, :n] = sequences.seconds[span.start + 1 : span.stop]
            wanted[row, :n] = sequences.items[span.start + 1 : span.stop]
        elif n:
            asked[row, : n - 1] = sequences.seconds[span.start + 1 : stop]
            asked[row, n - 1] = asked_last[row]
    return torch.from_numpy(items), torch.from_numpy(seconds), torch.from_numpy(asked), torch.from_numpy(wanted)
