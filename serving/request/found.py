"""What one candidate generator found for one request, before it is mixed with what the others found."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from cluster.errors import DataError

Kind = Literal["", "query_pin", "topic", "board"]


@dataclass(frozen=True)
class Origin:
    """What led to each pin: a query pin (the row of it), a topic (its code) or a board (its index); -1 nothing."""

    kind: Kind = ""
    of: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))  # int32[n]; empty without a kind


@dataclass(frozen=True)
class Discovery:
    """One source's word on one pin, in names that people know."""

    source: str
    rank: int
    score: float
    kind: Kind = ""
    of: int | str | None = None  # id of the query pin or board, or the topic's name


@dataclass(frozen=True)
class Visits:
    """What the walk alone knows of its pins, aligned with them."""

    visits: np.ndarray  # int32[n]
    hits: np.ndarray  # int16[n]
    by_query: np.ndarray  # uint32[n, Q]

    @classmethod
    def nothing(cls, queries: int) -> "Visits":
        """Of no pin."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int16), np.empty((0, queries), np.uint32))


@dataclass(frozen=True)
class FoundPins:
    """One source's pins, best first. `score` is the source's own: no two sources share a scale."""

    pins: np.ndarray  # int32[n], of the request's catalog, each once
    score: np.ndarray  # float32[n], never NaN
    origin: Origin = Origin()
    visits: Visits | None = None
    lacks: str = ""  # what it would have besides, had all that it asks answered; empty: nothing

    @classmethod
    def nothing(cls) -> "FoundPins":
        """No pin."""
        return cls(np.empty(0, np.int32), np.empty(0, np.float32))

    def checked(self, n_pins: int, budget: int) -> "FoundPins":
        """Itself, cut to `budget`, in the types above. Raises DataError for what is of no use."""
        pins, score = np.asarray(self.pins), np.asarray(self.score, np.float32)
        if pins.ndim != 1 or pins.shape != score.shape or (len(pins) and pins.dtype.kind not in "iu"):
            raise DataError("a source gives pins int32[n] and a score float32[n] for each of them")
        if len(pins) and not (int(pins.min()) >= 0 and int(pins.max()) < n_pins):
            raise DataError(f"a source gave a pin index that is not within the {n_pins} pins of the graph")
        if np.isnan(score).any():
            raise DataError("a source gave a pin whose score is not a number")
        if self.origin.kind and len(self.origin.of) != len(pins):
            raise DataError("a source tells the origin of each of its pins, or of none")
        if len(pins) <= budget and pins.dtype == np.int32 and score is self.score:
            return self
        return replace(self, pins=pins.astype(np.int32), score=score).only(np.arange(min(len(pins), budget)))

    def only(self, rows: np.ndarray) -> "FoundPins":
        """These rows in this order."""
        seen = self.visits
        return FoundPins(
            self.pins[rows],
            self.score[rows],
            Origin(self.origin.kind, self.origin.of[rows]) if self.origin.kind else self.origin,
            None if seen is None else Visits(seen.visits[rows], seen.hits[rows], seen.by_query[rows]),
            self.lacks,
        )
