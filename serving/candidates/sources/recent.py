"""The source `recent`: new pins of the user's topics and locale, some of them drawn at random."""

import numpy as np
from pydantic import Field

from cluster.catalog.catalog import Catalog
from cluster.contract.moments import MICROSECONDS_PER_HOUR
from cluster.settings.parsing import Settings
from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query
from serving.candidates.weight_sums import best
from serving.request.deadline import Deadline
from serving.request.found import FoundPins, Origin
from serving.request.per_graph import PerGraph

CREATED_AT = "created_at"


class RecentOptions(Settings):
    """What counts as new, and how much is left to chance."""

    hours: float = Field(24 * 30, gt=0, description="a pin is new for so long after its `created_at`")
    explore: float = Field(0.2, ge=0, le=1, description="share of the budget drawn at random among all new pins")


@register("recent")
class NewPins(CandidateGenerator):
    """The score is how well topics match (query pins, else declared interests) times how new the pin is, 0 to 1.

    Without it nobody would see what is too new to have been saved: part of the budget is drawn whatever the topics.
    """

    in_place = True

    Options = RecentOptions

    def __init__(self, options: RecentOptions):
        self._options = options
        self._by_time = PerGraph(by_time)

    def prepare(self, catalog: Catalog) -> None:
        """Sorts the pins by time."""
        self._by_time.renew(catalog)

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """The origin is the topic that the pin and the user share most. A user of unknown topics has all new pins."""
        created = query.catalog.attributes.numbers.get(CREATED_AT)
        if created is None:
            return FoundPins.nothing()
        span = self._options.hours * MICROSECONDS_PER_HOUR
        order, times = self._by_time.of(query.catalog)
        begin, end = np.searchsorted(times, [query.ask.at - span, query.ask.at], "right")
        pins = np.sort(order[begin:end])
        pins = pins[query.keeps(pins)]
        if query.locale >= 0:
            local = query.catalog.pins.locale[pins]
            pins = pins[(local == query.locale) | (local < 0)]
        topics, mine = query.catalog.pins.topics[pins], _topics(query)
        match = topics @ mine if mine.any() else np.ones(len(pins), np.float32)
        age = (query.ask.at - created[pins]) / span
        score = (match * (1.0 - age)).astype(np.float32)
        lucky = np.random.default_rng([query.ask.seed, 4]).permutation(len(pins))[: 2 * budget]
        rows = _in_turns(best(score, budget), lucky, self._options.explore)[:budget]
        shared = topics[rows] * mine
        topic = np.where(shared.max(axis=1, initial=0.0) > 0, shared.argmax(axis=1), -1).astype(np.int32)
        return FoundPins(pins[rows], np.maximum(score[rows], 0.0), Origin("topic", topic))


def by_time(catalog: Catalog) -> tuple[np.ndarray, np.ndarray]:
    """int32: pins by `created_at`, oldest first, without those that have none; and these times, float64."""
    created = catalog.attributes.numbers.get(CREATED_AT, np.empty(0))
    order = np.argsort(created, kind="stable")[: len(created) - int(np.isnan(created).sum())].astype(np.int32)
    return order, created[order]


def _in_turns(first: np.ndarray, drawn: np.ndarray, share: float) -> np.ndarray:
    """Rows of both, each once: the best in their order, and at a `share` of the ranks a drawn one.

    A larger budget only adds rows behind, so what a smaller one finds is known from a larger one's log.
    """
    out: dict[int, None] = {}
    best_rows, drawn_rows = iter(first.tolist()), iter(drawn.tolist())
    for rank in range(len(first) + len(drawn)):
        turn = int((rank + 1) * share) > int(rank * share)
        row = next(drawn_rows if turn else best_rows, None)
        if row is not None:
            out[row] = None
    return np.array([*out, *(row for row in drawn_rows if row not in out)], np.int64)


def _topics(query: Query) -> np.ndarray:
    """float32[T]: the mean of the query pins' topics, else the user's interests; zeros where neither is known."""
    catalog = query.catalog
    if len(query.pins):
        weighted = query.weight[:, None] * catalog.pins.topics[query.pins]
        if weighted.any():
            mean: np.ndarray = weighted.sum(axis=0) / max(float(query.weight.sum()), 1e-9)
            return mean
    return catalog.users.row(query.ask.user_id).interests
