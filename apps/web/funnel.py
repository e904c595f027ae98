"""The funnel view: one request as columns, from query pins to the answer. Plain values of an answer; draws nothing.

What the funnel does not keep by itself (which pins a step of the policy took out) is worked out again here, with the
funnel's own functions, from what the answer holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from apps.web.pins import PinCard, PinCards
from apps.web.reasons import Why, why_of
from cluster.catalog.catalog import Catalog
from cluster.contract.ids import plain_id
from cluster.settings.clients import Client
from serving.policy.pipeline import Policy
from serving.policy.registry import PolicyRequest
from serving.policy.slate import rows_of, slate_of
from serving.request.answer import Answer

OF_ALL_SOURCES = 10
OF_SOURCE = 3
"""Pins shown of the sources together, and of each at least."""


@dataclass(frozen=True)
class QueryPinView:
    """A pin that the walk starts from, and what the user did with it, newest first."""

    pin: PinCard
    weight: float  # share of all
    hours: float
    actions: tuple[str, ...]


@dataclass(frozen=True)
class SourceView:
    """A source of candidates; without milliseconds it was not asked, as popular pins that fill up."""

    name: str
    asked: int
    found: int
    milliseconds: float | None
    best: tuple[PinCard, ...]


@dataclass(frozen=True)
class PinInOrder:
    """A pin in an order, from 0; `before` is where it stood in the order of the stage before."""

    pin: PinCard
    rank: int
    before: int | None
    score: float
    sources: tuple[str, ...]
    fate: str = ""  # why it is not in the answer; empty when it is
    shown: bool = False

    @property
    def moved(self) -> int | None:
        """Positions up."""
        return None if self.before is None else self.before - self.rank


WHY = {
    "hidden": "as the user hid or acted on them, or the request excludes them",
    "seen": "as the user was shown them too often",
    "policy": "as the client forbids their label",
}
"""The filters that ship, in words."""


@dataclass(frozen=True)
class RemovedPins:
    """What one step of the policy took out."""

    step: str
    count: int
    pins: tuple[PinCard, ...]

    @property
    def reason(self) -> str:
        """In words, or the name of a step of the project's own."""
        return WHY.get(self.step, f"by {self.step}")


@dataclass(frozen=True)
class ShownPin:
    """A pin of the answer, with all that put it there."""

    pin: PinCard
    position: int
    why: Why


@dataclass(frozen=True)
class FunnelColumns:
    """All columns of one request."""

    client: str
    query: tuple[QueryPinView, ...]
    sources: tuple[SourceView, ...]
    candidates: int
    lightweight: tuple[PinInOrder, ...]
    survivors: int
    full: tuple[PinInOrder, ...]
    scored: int
    removed: tuple[RemovedPins, ...]
    moved_back: int  # pins among the first of the full order that caps or diversity moved out of the answer
    answer: tuple[ShownPin, ...]
    milliseconds: Mapping[str, float]
    versions: Mapping[str, str | None]
    faults: tuple[str, ...] = ()
    exposure: tuple[str, ...] = ()  # arms in force, as `experiment/arm`
    interests: tuple[str, ...] = field(default=())
    locale: str | None = None


def funnel_columns(answer: Answer, client: Client, catalog: Catalog, cards: PinCards, depth: int) -> FunnelColumns:
    """The first `depth` pins of each order of an explained answer."""
    candidates = answer.candidates
    ranked = answer.ranked
    scored = answer.scored
    names = candidates.sources.names
    of_pin = [tuple(name for at, name in enumerate(names) if row[at] >= 0) for row in candidates.sources.rank]
    shown = set(answer.shown.tolist())
    removed_rows = _removed_rows(answer, client)
    fates = {row: f"left out: {step}" for step, rows in removed_rows.items() for row in rows}
    survivors = np.arange(len(candidates.pins)) if ranked is None else ranked.survivors
    has_full = scored is not None and scored.version is not None
    order = scored.order() if scored is not None and has_full else np.arange(len(survivors))
    full_rows = survivors[order]
    utility = answer.full_scores()
    light = candidates.score if ranked is None or ranked.version is None else ranked.scores

    def standing(row: int, rank: int, before: int | None, score: float, last: bool) -> PinInOrder:
        fate = fates.get(row, "")
        if last and not fate and row not in shown:
            fate = "moved back" if rank < len(shown) else "below"
        return PinInOrder(cards.of(int(candidates.pins[row])), rank, before, score, of_pin[row], fate, row in shown)

    first = [standing(int(row), at, int(row), float(light[row]), False) for at, row in enumerate(survivors[:depth])]
    second = [
        standing(int(row), at, int(order[at]), float(utility[row] if has_full else light[row]), True)
        for at, row in enumerate(full_rows[:depth])
    ]
    removed = tuple(
        RemovedPins(step, len(rows), tuple(cards.of(int(candidates.pins[row])) for row in rows[:depth]))
        for step, rows in removed_rows.items()
    )
    user = catalog.users.row(answer.ask.user_id)
    topics = catalog.pins.vocabulary.topics
    return FunnelColumns(
        client=client.name,
        query=_query_pins(answer, cards),
        sources=_sources(answer, cards),
        candidates=len(candidates.pins),
        lightweight=tuple(first),
        survivors=len(survivors),
        full=tuple(second),
        scored=int(np.isfinite(utility).sum()),
        removed=removed,
        moved_back=sum(each.fate == "moved back" for each in second),
        answer=tuple(
            ShownPin(cards.of(int(candidates.pins[row])), at, why_of(answer, at, int(row), cards))
            for at, row in enumerate(answer.shown.tolist())
        ),
        milliseconds={stage.stage: stage.milliseconds for stage in answer.stages},
        versions={
            "graph": candidates.graph_version,
            "lightweight": None if ranked is None else ranked.version,
            "full": None if scored is None else scored.version,
        },
        faults=tuple(answer.faults),
        exposure=answer.exposure,
        interests=tuple(topics[at] for at in np.argsort(-user.interests, kind="stable") if user.interests[at] > 0),
        locale=catalog.pins.vocabulary.locales[candidates.locale] if candidates.locale >= 0 else None,
    )


def _query_pins(answer: Answer, cards: PinCards) -> tuple[QueryPinView, ...]:
    candidates = answer.candidates
    acts: dict[object, list[str]] = {}
    for pin, action in zip(candidates.sequence.pin_ids.tolist(), candidates.sequence.actions.tolist(), strict=True):
        acts.setdefault(pin, []).append(str(action))
    whole = float(candidates.query_weight.sum()) or 1.0
    return tuple(
        QueryPinView(cards.of(int(pin)), float(weight) / whole, float(age), tuple(acts.get(plain_id(pin_id), ())))
        for pin, pin_id, weight, age in zip(
            candidates.query_pins, candidates.query_ids, candidates.query_weight, candidates.query_age, strict=True
        )
    )


def _sources(answer: Answer, cards: PinCards) -> tuple[SourceView, ...]:
    candidates = answer.candidates
    sources = candidates.sources
    took = {stage.stage: stage.milliseconds for stage in answer.stages}
    found = sources.found
    out = []
    for at, name in enumerate(sources.names):
        rank = sources.rank[:, at]
        rows = np.flatnonzero(rank >= 0)
        best = rows[np.argsort(rank[rows], kind="stable")][: max(OF_SOURCE, OF_ALL_SOURCES // len(sources.names))]
        asked = sources.budget[at] if at < len(sources.budget) else 0
        pins = tuple(cards.of(int(candidates.pins[row])) for row in best)
        out.append(SourceView(name, asked, found[name], took.get(name) if asked else None, pins))
    return tuple(out)


def _removed_rows(answer: Answer, client: Client) -> dict[str, list[int]]:
    """Rows of the candidates that each filter of the policy takes out, best first, by the filter's name."""
    candidates = answer.candidates
    slate = slate_of(candidates, answer.ranked, answer.scored, by_visits=False)
    hidden, seen = (rows_of(candidates, np.array(ids, object)) for ids in (answer.ask.barred(), answer.ask.seen))
    request = PolicyRequest(len(answer.shown), hidden, seen, candidates, answer.ranked)
    out: dict[str, list[int]] = {}
    for step in Policy.of(client).filters:
        after = step(slate, request)
        gone = set(slate.pin.tolist()) - set(after.pin.tolist())
        for name in after.removed:
            if after.removed[name] != slate.removed.get(name, 0):
                out.setdefault(name, []).extend(row for row in slate.pin.tolist() if row in gone)
        slate = after
    return out
