"""Why a pin stands where it stands, as bars: sources, TreeSHAP of the lightweight ranker, log-odds of the full one."""

from dataclasses import dataclass

import numpy as np

from apps.web.pins import PinCard, PinCards
from serving.request.answer import Answer

MOST = 5
"""Bars of each kind."""


@dataclass(frozen=True)
class Push:
    """One thing that moved a score, and by how much; `share` of the largest of its kind, -1 to 1."""

    name: str
    amount: float
    share: float


@dataclass(frozen=True)
class FoundThrough:
    """One source's word: its rank from 0, and what led it there."""

    source: str
    rank: int
    through: str


@dataclass(frozen=True)
class Chance:
    """An action's probability, what it adds to the utility, and which inputs moved its log-odds."""

    action: str
    probability: float
    utility: float
    inputs: tuple[Push, ...]


@dataclass(frozen=True)
class Why:
    """Everything about one pin of the answer. Ranks count from 0; None where a stage did not order it."""

    visit_rank: int
    lightweight_rank: int | None
    full_rank: int | None
    lightweight_score: float | None
    utility: float | None
    explored: bool
    found: tuple[FoundThrough, ...]
    reached: tuple[tuple[PinCard, int], ...]  # query pins, and how often the walk from each came by
    features: tuple[Push, ...]
    chances: tuple[Chance, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names."""
        return tuple(each.source for each in self.found)


def why_of(answer: Answer, position: int, row: int, cards: PinCards) -> Why:
    """Of the pin at a position of an explained answer, which is in `row` of its candidates."""
    candidates = answer.candidates
    ranked = answer.ranked
    survivor = None if ranked is None else _where(ranked.survivors, row)
    has_model = ranked is not None and ranked.version is not None
    utility = float(answer.full_scores()[row])
    full = None
    if answer.scored is not None and survivor is not None and np.isfinite(utility):
        full = _where(answer.scored.order(), survivor)
    visits = candidates.by_query[row]
    by_visits = [int(q) for q in np.argsort(-visits.astype(np.int64), kind="stable")[:MOST] if visits[q]]
    return Why(
        visit_rank=row,
        lightweight_rank=survivor if has_model else None,
        full_rank=full,
        lightweight_score=float(ranked.scores[row]) if has_model and ranked is not None else None,
        utility=utility if full is not None else None,
        explored=bool(answer.explored[position]),
        found=_found(answer, position),
        reached=tuple((cards.of(int(candidates.query_pins[q])), int(visits[q])) for q in by_visits),
        features=pushes(answer.contributions[position] if answer.contributions else {}),
        chances=_chances(answer, position, survivor) if full is not None else (),
    )


def pushes(amounts: dict[str, float]) -> tuple[Push, ...]:
    """The largest first, at most `MOST`."""
    order = sorted(amounts.items(), key=lambda item: -abs(item[1]))[:MOST]
    largest = max((abs(amount) for _, amount in order), default=0.0) or 1.0
    return tuple(Push(name, amount, amount / largest) for name, amount in order)


def _found(answer: Answer, position: int) -> tuple[FoundThrough, ...]:
    told = answer.discoveries[position] if answer.discoveries else []
    words = {"topic": "topic", "board": "board", "query_pin": "from pin"}
    return tuple(FoundThrough(one.source, one.rank, f"{words[one.kind]} {one.of}" if one.kind else "") for one in told)


def _chances(answer: Answer, position: int, survivor: int | None) -> tuple[Chance, ...]:
    scored = answer.scored
    assert scored is not None
    assert survivor is not None
    reasons = answer.reasons[position] if answer.reasons else {}
    out = []
    for action, weight, p in zip(scored.actions, scored.weights, scored.probabilities[survivor].tolist(), strict=True):
        inputs = reasons[action].inputs if action in reasons else {}
        out.append(Chance(action, p, weight * p, pushes(dict(inputs))))
    return tuple(sorted(out, key=lambda chance: -abs(chance.utility)))


def _where(order: np.ndarray, value: int) -> int | None:
    found = np.flatnonzero(order == value)
    return int(found[0]) if len(found) else None
