"""The times of any number of requests in bounded memory: exact while they are few, buckets of time beyond.

A bucket keeps its first moment and how many lie in it. A cut is always the first moment of a bucket, so what lies
before it is counted exactly, and any process that compares times with the cut parts requests alike. Only the share of
requests that a cut was asked for is met less closely: by at most one bucket's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from training.log.tasks import LogWindow, bounds

MOST_BUCKETS = 1 << 17
"""Buckets of one client, 24 bytes each: of a year one for every 5 minutes, of a day one for every second."""


@dataclass(frozen=True)
class Moments:
    """A multiset of moments in ascending buckets, each of 2**`width` microseconds of the clock or less.

    Merged in any order, the same moments give the same buckets.
    """

    first: np.ndarray = field(default_factory=lambda: np.zeros(0, "datetime64[us]"), repr=False)  # of each bucket
    last: np.ndarray = field(default_factory=lambda: np.zeros(0, "datetime64[us]"), repr=False)
    count: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    width: int = 0

    @classmethod
    def of(cls, at: np.ndarray, most: int = MOST_BUCKETS) -> "Moments":
        """Of datetime64[us][n] in any order."""
        moments = np.sort(at)
        return cls(moments, moments, np.ones(len(moments), np.int64)).within(most)

    @classmethod
    def merged(cls, parts: Iterable["Moments"], most: int = MOST_BUCKETS) -> "Moments":
        """All of several, taken in one after another."""
        out = cls()
        for part in parts:
            first = np.concatenate([out.first, part.first])
            order = np.argsort(first, kind="stable")
            last, count = (np.concatenate([getattr(out, n), getattr(part, n)])[order] for n in ("last", "count"))
            out = cls(first[order], last, count, max(out.width, part.width)).within(most)
        return out

    def within(self, most: int) -> "Moments":
        """The same in at most `most` buckets, 2 or more as none spans 1970, as narrow as that allows."""
        width = self.width
        while True:
            bucket = self.first.astype(np.int64) >> width
            begins = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
            if len(begins) <= most:
                break
            width += 1
        if not len(begins):
            return self
        last, count = (of.reduceat(a, begins) for of, a in ((np.maximum, self.last), (np.add, self.count)))
        return Moments(self.first[begins], last, count, width)

    def __len__(self) -> int:
        """How many moments there are."""
        return int(self.count.sum())

    def inside(self, window: LogWindow) -> "Moments":
        """Those in a window; a bucket that its bounds cut goes with its first moment."""
        low, high = bounds(window)
        return self._only((self.first >= low) & (self.first < high))

    def without(self, windows: Sequence[LogWindow]) -> "Moments":
        """Those in none of the windows."""
        kept = np.ones(len(self.first), bool)
        for low, high in map(bounds, windows):
            kept &= (self.first < low) | (self.first >= high)
        return self._only(kept)

    def _only(self, buckets: np.ndarray) -> "Moments":
        return Moments(self.first[buckets], self.last[buckets], self.count[buckets], self.width)

    def at(self, rank: int) -> np.datetime64:
        """The first moment of the bucket that holds the one number `rank`, from 0, in order of time."""
        moment: np.datetime64 = self.first[np.searchsorted(np.cumsum(self.count), rank, side="right")]
        return moment

    def split(self, held_out_share: float) -> np.datetime64:
        """The moment that splits requests: those before it train, those at or after it are held out.

        About `held_out_share` of them lie at or after it. 1970 where there are none.
        """
        n = len(self)
        if not n:
            return np.datetime64("1970-01-01T00:00:00", "us")
        return self.at(min(round(n * (1 - held_out_share)), n - 1))

    def folds(self, folds: int) -> tuple[LogWindow, ...]:
        """`folds` windows with about as many moments each; the first and the last are open-ended.

        Fewer where requests share their moments: no moment is in two folds.
        """
        n = len(self)
        cuts = np.unique([self.at(n * i // folds) for i in range(1, folds)]) if n else self.first
        cuts = cuts[cuts > self.first[0]] if n else cuts
        return tuple(LogWindow(low, high) for low, high in zip([None, *cuts], [*cuts, None], strict=True))
