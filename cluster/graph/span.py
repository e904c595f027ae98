"""When edges were saved, as a histogram that parts of the data add up to: where time begins and ends but for outliers.

The histogram is a function of the values alone, however they were cut into parts and in whatever order those were
joined, so that an out-of-core build agrees with one in memory. Knows nothing of files or Ray.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RECENT_SHARE = 0.1
"""`pin_recent_share` counts the newest tenth of the time that the edges span."""
TAIL_SHARE = 0.01
"""The middle of all values is what is left without so many on each side; without one, from SMALLEST_TRIMMED values."""
SMALLEST_TRIMMED = 20
MARGIN = 0.25
"""What lies outside the middle by more than this share of its length is an outlier."""
BUCKETS = 4096
"""Up to so many distinct values the histogram is exact; beyond, buckets double in width until they are so few."""
TABLE_BITS = 22
"""Values are counted in a table of 2^22 at first, which spares sorting all of them where buckets get wide anyway."""


@dataclass(frozen=True)
class Span:
    """Counts of saved_at (microseconds since 1970) in buckets of 2^bits microseconds; empty without any."""

    bits: int = 0
    buckets: tuple[int, ...] = ()  # ascending: value >> bits
    counts: tuple[int, ...] = ()
    least: int | None = None
    greatest: int | None = None

    @classmethod
    def of(cls, saved_at: pa.ChunkedArray) -> "Span":
        """The span of a column of timestamps; nulls are left out."""
        values = pc.drop_null(saved_at.cast(pa.int64())).to_numpy()
        if not len(values):
            return cls()
        least, greatest = int(values.min()), int(values.max())
        bits = max(int(greatest - least).bit_length() - TABLE_BITS, 0)
        table = np.bincount((values >> bits) - (least >> bits))
        found = np.flatnonzero(table)
        if bits and len(found) <= BUCKETS:  # narrower buckets may do
            buckets, counts = np.unique(values, return_counts=True)
            return cls._narrowest(0, buckets, counts, least, greatest)
        return cls._narrowest(bits, found + (least >> bits), table[found], least, greatest)

    @classmethod
    def _narrowest(cls, bits: int, buckets: np.ndarray, counts: np.ndarray, least: int, greatest: int) -> "Span":
        while len(buckets) > BUCKETS:
            bits += 1
            buckets, counts = _added_up(buckets >> 1, counts)
        return cls(bits, tuple(buckets.tolist()), tuple(counts.tolist()), least, greatest)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Span":
        """The reverse of `to_dict`. Raises KeyError, TypeError or ValueError for anything else."""
        ends = (None if raw[name] is None else int(raw[name]) for name in ("least", "greatest"))
        buckets, counts = (tuple(int(n) for n in raw[name]) for name in ("buckets", "counts"))
        if len(buckets) != len(counts):
            raise ValueError(f"{len(buckets)} buckets and {len(counts)} counts")
        return cls(int(raw["bits"]), buckets, counts, *ends)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    def union(self, other: "Span") -> "Span":
        """The span of the values of both."""
        if self.least is None or self.greatest is None:
            return other
        if other.least is None or other.greatest is None:
            return self
        bits = max(self.bits, other.bits)
        shifted = [np.array(s.buckets, np.int64) >> (bits - s.bits) for s in (self, other)]
        counts = np.concatenate([np.array(s.counts, np.int64) for s in (self, other)])
        least, greatest = min(self.least, other.least), max(self.greatest, other.greatest)
        return self._narrowest(bits, *_added_up(np.concatenate(shifted), counts), least, greatest)

    @property
    def oldest(self) -> int | None:
        """Where time begins but for outliers."""
        return self._ends[0]

    @property
    def newest(self) -> int | None:
        """Where time ends but for outliers."""
        return self._ends[1]

    @property
    def recent_from(self) -> int | None:
        """Where the newest tenth begins."""
        oldest, newest = self._ends
        if oldest is None or newest is None:
            return None
        return newest - int((newest - oldest) * RECENT_SHARE)

    @property
    def _ends(self) -> tuple[int | None, int | None]:
        """The first and last value that do not lie outside the middle of all by more than MARGIN of its length."""
        if self.least is None or self.greatest is None:
            return None, None
        upto = np.cumsum(self.counts)
        n = int(upto[-1])
        tail = max(int(n * TAIL_SHARE), 1) if n >= SMALLEST_TRIMMED else 0
        first, last = (self.buckets[np.searchsorted(upto, at, "right")] for at in (tail, n - 1 - tail))
        margin = int((last + 1 - first) * MARGIN) + 1
        buckets = np.array(self.buckets)
        kept = buckets[(buckets >= first - margin) & (buckets <= last + margin)]
        oldest, newest = int(kept[0]) << self.bits, ((int(kept[-1]) + 1) << self.bits) - 1
        return max(oldest, self.least), min(newest, self.greatest)


def _added_up(buckets: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distinct, row = np.unique(buckets, return_inverse=True)
    total = np.zeros(len(distinct), np.int64)
    np.add.at(total, row, counts)
    return distinct, total
