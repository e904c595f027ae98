"""Small slates and requests for tests of single steps."""

from typing import Any

import numpy as np

from serving.policy.registry import PolicyRequest
from serving.policy.slate import Slate
from serving.request.ask import Recents
from serving.request.candidates import Candidates, SourceColumns

NOTHING = np.empty(0, np.int64)


def candidates(visits: np.ndarray) -> Candidates:
    """Candidates of which only the visits matter."""
    n = len(visits)
    return Candidates(
        graph_version="g",
        locale=-1,
        pins=np.arange(n, dtype=np.int32),
        pin_ids=np.arange(n),
        score=visits.astype(np.float32),
        sources=SourceColumns(("walk",), np.arange(n)[:, None], visits.astype(np.float32)[:, None], (n,)),
        walk_score=visits.astype(np.float32),
        visits=visits.astype(np.int32),
        hits=np.ones(n, np.int16),
        by_query=np.zeros((n, 0), np.uint32),
        query_pins=np.empty(0, np.int32),
        query_ids=np.empty(0, np.int64),
        query_weight=np.empty(0, np.float32),
        query_age=np.empty(0, np.float32),
        sequence=Recents.none(),
    )


def request(size: int = 5, **parts: Any) -> PolicyRequest:
    """A request with nothing hidden or seen."""
    fields = {"hidden": NOTHING, "seen": NOTHING, "candidates": candidates(NOTHING), "ranked": None}
    return PolicyRequest(size, **{**fields, **parts})


def bare() -> Slate:
    """Two pins of which nothing is known."""
    return Slate(np.array([1, 2]), np.array([2.0, 1.0]))


def empty() -> Slate:
    """No pin, with every part."""
    none = np.zeros(0, int)
    return Slate(none, np.zeros(0), board=none, topic=none, vector=np.zeros((0, 2)), labels=none)
