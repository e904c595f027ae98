"""The candidates that the policy works on, best first, and how they follow from what the stages gave. NumPy only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from serving.request.candidates import Candidates
from serving.request.ranked import Ranked
from serving.request.scored import Scored

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Slate:
    """n candidates of one request, best first. Absent parts (None) make the steps that need them do nothing."""

    pin: npt.NDArray  # [n] row of the request's candidates
    score: npt.NDArray  # [n] utility
    board: npt.NDArray | None = None  # [n] board each pin is shown for, -1 = none
    topic: npt.NDArray | None = None  # [n] main topic, -1 = none
    vector: npt.NDArray | None = None  # [n, d] content vectors
    labels: npt.NDArray | None = None  # [n] bit set of policy labels
    removed: Mapping[str, int] = field(default_factory=dict)  # step name -> candidates it removed

    def pick(self, rows: Rows, step: str = "") -> "Slate":
        """The given rows in the given order; what is lost is counted under the step's name."""
        lost = len(self.pin) - len(rows)
        removed = {**self.removed, step: self.removed.get(step, 0) + lost} if step and lost else self.removed

        def of(values: npt.NDArray | None) -> npt.NDArray | None:
            return None if values is None else values[rows]

        return replace(
            self,
            pin=self.pin[rows],
            score=self.score[rows],
            board=of(self.board),
            topic=of(self.topic),
            vector=of(self.vector),
            labels=of(self.labels),
            removed=removed,
        )


def slate_of(candidates: Candidates, ranked: Ranked | None, scored: Scored | None, by_visits: bool) -> Slate:
    """The survivors (without a lightweight stage: all candidates), best first; `pin` is the row of `candidates`.

    The order is the utility's, then, for what the full ranker has not scored, the lightweight one. A score is utility
    or margin where one of them orders all candidates alone, else the rank counted down, so that MMR and demotion have
    something to trade with.
    """
    rows = np.arange(len(candidates.pins), dtype=np.int32) if ranked is None else ranked.survivors
    n = len(rows)
    order, score = np.arange(n), 1.0 - np.arange(n, dtype=np.float32) / max(n, 1)
    if ranked is not None and not by_visits:
        if ranked.version is not None:
            score = ranked.scores[rows]
        if scored is not None and scored.version is not None:
            order = scored.order()
            known = np.isfinite(scored.utility)
            by_rank = 1.0 - np.argsort(order, kind="stable").astype(np.float32) / max(n, 1)
            score = scored.utility if known.all() else by_rank
    labels = None if candidates.labels is None else candidates.labels[rows][order]
    if ranked is None:
        return Slate(rows[order], score[order], labels=labels)
    board, vector = (None if v is None else v[order] for v in (ranked.boards, ranked.vectors))
    return Slate(rows[order], score[order], board, ranked.topics[order], vector, labels)


def dropped_of(candidates: Candidates, ranked: Ranked) -> Slate:
    """What the lightweight stage dropped, in the candidates' order, with what filters need: score and labels."""
    rows = np.setdiff1d(np.arange(len(candidates.pins), dtype=np.int32), ranked.survivors)
    labels = None if candidates.labels is None else candidates.labels[rows]
    return Slate(rows, candidates.score[rows], labels=labels)


def rows_of(candidates: Candidates, ids: np.ndarray) -> np.ndarray:
    """Rows of the candidates that have these ids; those that the walk did not reach are left out."""
    if not len(ids):
        return np.empty(0, np.int64)
    wanted = set(ids.tolist())
    return np.flatnonzero([pin in wanted for pin in candidates.pin_ids.tolist()])
