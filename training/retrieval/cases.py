"""What is asked of a model of the next item: a user's actions before a moment, and the item that came then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.retrieval.sequences import UserSequences

Protocol = Literal["leave-one-out", "time-split"]

HELD_SHARE = 0.1
"""Share of all actions behind the cut of a time split."""


@dataclass(frozen=True)
class Cases:
    """Row i: what `known` holds of user `user[i]` is known, `wanted[i]` is what came at `asked[i]`."""

    known: UserSequences
    user: np.ndarray  # int64[C]
    wanted: np.ndarray  # int32[C]
    asked: np.ndarray  # int64[C], seconds


def split(sequences: UserSequences, protocol: Protocol) -> Cases:
    """Cases whose `known` may be trained on.

    `leave-one-out`: the last action of every user with two or more. `time-split`: the first action behind the moment
    that a tenth of all actions come after, of users who were there before.
    """
    if protocol == "leave-one-out":
        users = np.flatnonzero(sequences.lengths > 1)
        at = sequences.offsets[users + 1] - 1
        alone = np.repeat(sequences.lengths == 1, sequences.lengths)
        last = np.zeros(len(sequences.items), bool)
        last[sequences.offsets[1:][sequences.lengths > 0] - 1] = True
        return _cases(sequences, sequences.kept(~last | alone), users, at)
    cut = np.quantile(sequences.seconds, 1 - HELD_SHARE, method="higher")
    before = sequences.seconds < cut
    known = sequences.kept(before)
    users = np.flatnonzero((known.lengths > 0) & (known.lengths < sequences.lengths))
    return _cases(sequences, known, users, sequences.offsets[users] + known.lengths[users])


def held_out(known: UserSequences, users: int, rng: np.random.Generator) -> Cases:
    """The last action of some users, to stop training by: of at most `users`, and of no more than a fifth of all."""
    able = np.flatnonzero(known.lengths > 2)
    some = np.sort(rng.permutation(able)[: min(users, len(able) // 5)])
    at = known.offsets[some + 1] - 1
    keep = np.ones(len(known.items), bool)
    keep[at] = False
    return _cases(known, known.kept(keep), some, at)


def _cases(sequences: UserSequences, known: UserSequences, users: np.ndarray, at: np.ndarray) -> Cases:
    return Cases(known, users, sequences.items[at], sequences.seconds[at])
