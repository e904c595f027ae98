"""What happens between the full ranker's scores and the answer: small steps over arrays, applied in order.

A `Slate` holds the candidates best first. A step is a callable that takes a slate and returns which rows stay
and in what order, so steps compose freely and each can be tested alone. Nothing here knows a model, HTTP or
Ray.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster.errors import ConfigError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Slate:
    """n candidates of one request, best first. Absent parts (None) make the steps that need them do nothing."""

    pin: npt.NDArray  # [n] pin index or id
    score: npt.NDArray  # [n] utility
    board: npt.NDArray | None = None  # [n] board each pin is shown for, -1 = none
    topic: npt.NDArray | None = None  # [n] main topic, -1 = none
    vector: npt.NDArray | None = None  # [n, d] content vectors
    labels: npt.NDArray | None = None  # [n] bit set of policy labels
    removed: Mapping[str, int] = field(default_factory=dict)  # step name -> candidates it removed

    @classmethod
    def ranked(cls, pin: npt.NDArray, score: npt.NDArray, **parts: Any) -> "Slate":
        """Sort by score, ties by place, so the order is the same on every machine."""
        order = np.argsort(-score, kind="stable")
        sorted_parts: dict[str, Any] = {k: None if v is None else v[order] for k, v in parts.items()}
        return cls(pin[order], score[order], **sorted_parts)

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


Step = Callable[[Slate], Slate]


def exclude(pins: npt.NDArray, name: str = "seen") -> Step:
    """Remove pins the user has already seen, or has hidden."""

    def step(slate: Slate) -> Slate:
        if not len(pins):
            return slate
        return slate.pick(np.flatnonzero(~np.isin(slate.pin, pins)), name)

    return step


def forbid_labels(mask: int, name: str = "policy") -> Step:
    """Remove pins that carry any policy label of the bit set `mask` (for example labels a client or a locale must
    not show).
    """

    def step(slate: Slate) -> Slate:
        if slate.labels is None or mask == 0:
            return slate
        return slate.pick(np.flatnonzero((slate.labels.astype(np.int64) & mask) == 0), name)

    return step


def demote_labels(mask: int, factor: float) -> Step:
    """Lower the scores of labelled pins: a positive score is multiplied by `factor` in [0, 1], a negative one
    divided by it.
    """
    if not 0 < factor <= 1:
        raise ConfigError(f"demotion factor must be above 0 and at most 1, got {factor}")

    def step(slate: Slate) -> Slate:
        if slate.labels is None:
            return slate
        labelled = (slate.labels.astype(np.int64) & mask) != 0
        changed = np.where(slate.score >= 0, slate.score * factor, slate.score / factor)
        slate = replace(slate, score=np.where(labelled, changed, slate.score).astype(slate.score.dtype))
        return slate.pick(np.argsort(-slate.score, kind="stable"))

    return step


def _rank_within(group: npt.NDArray) -> Rows:
    """How many earlier rows share row i's group."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = (
        np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(group) else np.zeros(0, np.int64)
    )
    length = np.diff(np.append(starts, len(group)))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(starts, length)
    return rank


def cap(part: str, most: int) -> Step:
    """Move back what is beyond `most` candidates of one board or topic (`part` names the slate's array).

    Nothing is lost, so a short slate still fills the answer; the surplus keeps its order. -1 is never capped.
    """
    if part not in ("board", "topic"):
        raise ConfigError(f"cannot cap by {part!r}: use board or topic")

    def step(slate: Slate) -> Slate:
        group = getattr(slate, part)
        if group is None or most <= 0:
            return slate
        within = (_rank_within(group) < most) | (group < 0)
        return slate if within.all() else slate.pick(np.argsort(~within, kind="stable"))

    return step


def mmr(size: int, trade: float, depth: int = 200) -> Step:
    """Maximal marginal relevance (Carbonell and Goldstein 1998): fill `size` places, each with the candidate of
    highest (1 - trade) · relevance - trade · (largest cosine to those already placed), among the best `depth`;
    the rest follows in its order. Relevance is the score scaled to [0, 1] over those `depth`, so `trade` means
    the same for every request.
    """
    if not 0 <= trade <= 1:
        raise ConfigError(f"MMR trade-off must lie between 0 and 1, got {trade}")

    def step(slate: Slate) -> Slate:
        n = min(depth, len(slate.pin))
        if slate.vector is None or trade == 0 or n < 2:
            return slate
        unit = slate.vector[:n].astype(np.float32)
        unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
        score = slate.score[:n].astype(np.float32)
        relevance = (score - score.min()) / max(float(score.max() - score.min()), 1e-9)
        closest = np.zeros(n, np.float32)
        free = np.ones(n, bool)
        chosen: list[int] = []
        for _ in range(min(size, n)):
            gain = np.where(free, (1 - trade) * relevance - trade * closest, -np.inf)
            best = int(np.argmax(gain))
            chosen.append(best)
            free[best] = False
            closest = np.maximum(closest, unit @ unit[best])
        rest = np.concatenate([np.flatnonzero(free), np.arange(n, len(slate.pin))])
        return slate.pick(np.concatenate([np.array(chosen, np.int64), rest]))

    return step


def apply_steps(slate: Slate, steps: Sequence[Step]) -> Slate:
    """All steps in order. Filters come first, then what changes scores, then MMR, and the caps last: they must hold."""
    for step in steps:
        slate = step(slate)
    return slate
