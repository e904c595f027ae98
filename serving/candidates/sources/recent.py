"""The source `recent`: new pins of the user's topics and locale, some of them drawn at random."""

import numpy as np
from pydantic import Field

from cluster.settings.parsing import Settings
from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query
from serving.candidates.weight_sums import best
from serving.request.deadline import Deadline
from serving.request.found import FoundPins, Origin

CREATED_AT = "created_at"
MICROSECONDS_PER_HOUR = 3.6e9


class RecentOptions(Settings):
    """What counts as new, and how much is left to chance."""

    hours: float = Field(24 * 30, gt=0, description="a pin is new for so long after its `created_at`")
    explore: float = Field(0.2, ge=0, le=1, description="share of the budget drawn at random among all new pins")


@register("recent")
class NewPins(CandidateGenerator):
    """The score is how well topics match (query pins, else declared interests) times how new the pin is, 0 to 1.

    Without it nobody would see what is too new to have been saved: part of the budget is drawn whatever the topics.
    """

    Options = RecentOptions

    def __init__(self, options: RecentOptions):
        self._options = options

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """The origin is the topic that the pin and the user share most. A user of unknown topics has all new pins."""
        created = query.catalog.attributes.numbers.get(CREATED_AT)
        if created is None:
            return FoundPins.nothing()
        span = self._options.hours * MICROSECONDS_PER_HOUR
        age = (query.ask.at - created) / span
        may = query.may_show() & (age >= 0) & (age < 1)
        may[query.pins] = False
        pins = np.flatnonzero(may).astype(np.int32)
        if query.locale >= 0:
            local = query.catalog.pins.locale[pins]
            pins = pins[(local == query.locale) | (local < 0)]
        topics, mine = query.catalog.pins.topics[pins], _topics(query)
        match = topics @ mine if mine.any() else np.ones(len(pins), np.float32)
        score = (match * (1.0 - age[pins])).astype(np.float32)
        drawn = round(self._options.explore * budget)
        first = best(score, budget - drawn)
        rest = np.setdiff1d(np.arange(len(pins)), first)
        lucky = np.random.default_rng([query.ask.seed, 4]).permutation(rest)[: budget - len(first)]
        rows = np.concatenate([first, lucky]).astype(np.int64)
        shared = topics[rows] * mine
        topic = np.where(shared.max(axis=1, initial=0.0) > 0, shared.argmax(axis=1), -1).astype(np.int32)
        return FoundPins(pins[rows], np.maximum(score[rows], 0.0), Origin("topic", topic))


def _topics(query: Query) -> np.ndarray:
    """float32[T]: the mean of the query pins' topics, else the user's interests; zeros where neither is known."""
    catalog = query.catalog
    if len(query.pins):
        weighted = query.weight[:, None] * catalog.pins.topics[query.pins]
        if weighted.any():
            mean: np.ndarray = weighted.sum(axis=0) / max(float(query.weight.sum()), 1e-9)
            return mean
    return catalog.users.row(query.ask.user_id).interests
