"""What the lightweight stage hands on: the features and scores of all candidates, and which of them survive."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Ranked:
    """The lightweight stage: features and scores of all candidates, and the survivors, best first."""

    version: str | None  # None: no model yet, the order is the walk's
    survivors: np.ndarray  # int32[k], rows of Candidates, best first
    scores: np.ndarray  # float32[n]; NaN without a model
    shared: np.ndarray  # float32[S]
    candidates: np.ndarray  # float32[n, C]
    topics: np.ndarray  # int16[k], the survivors' main topic, -1 none
    boards: np.ndarray | None = None  # int32[k], the survivors' shared board, -1 none; only for a client with board_cap
    vectors: np.ndarray | None = None  # float32[k, T], the survivors' topics; only for a client with diversity

    def only(self, rows: np.ndarray) -> "Ranked":
        """These rows alone, all of them survivors: what the full ranker needs to see."""
        return replace(
            self,
            survivors=np.arange(len(rows), dtype=np.int32),
            scores=self.scores[rows],
            candidates=self.candidates[rows],
            topics=np.empty(0, np.int16),
            boards=None,
            vectors=None,
        )
