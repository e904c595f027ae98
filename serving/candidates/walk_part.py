"""The source `walk` over one part of a graph, for a process that maps no other, and the parts' answers as one."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from cluster.catalog.catalog import Catalog
from cluster.settings.clients import WALK, Client
from cluster.settings.parsing import Settings
from cluster.walk.prepare import start_weights
from cluster.walk.sharded import ANSWER, ShardVisits, ShardWalker, gather, summed
from cluster.walk.walker import WalkParams
from serving.candidates.generator import CandidateGenerator
from serving.candidates.query import Query
from serving.candidates.sources.walk import found_pins, locale_range, params_of, start_pins
from serving.request.deadline import Deadline
from serving.request.found import FoundPins, Visits
from serving.request.per_graph import PerGraph

NO_BOARDS = np.empty(0, np.int64)


class PartOptions(Settings):
    """Which part."""

    part: int = Field(0, ge=0)


class WalkPart(CandidateGenerator):
    """Gives visit counts of its part as they are, of at least ANSWER pins where the budget allows: see `gathered`."""

    in_place = True

    Options = PartOptions

    def __init__(self, options: PartOptions):
        self._at = options.part
        self._walkers = PerGraph(self._walker)

    def prepare(self, catalog: Catalog) -> None:
        """Runs one walk, so that everything is compiled."""
        walker = self._walkers.renew(catalog)
        if len(popular := start_pins(catalog)):
            walker.walk(WalkParams(steps=1000), popular, NO_BOARDS, np.ones(len(popular)), 0)

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """Pins that the walks of this part visited, by their visits here."""
        pins = np.asarray(query.pins, np.int64)
        found = self._walkers.of(query.catalog).walk(
            params_of(query, budget),
            pins,
            NO_BOARDS,
            start_weights(pins.size, 0, query.weight, None),
            query.ask.seed,
            exclude=query.exclude,
            allowed=query.allowed,
            bias=locale_range(query),
        )
        if found is None:
            return FoundPins(np.empty(0, np.int32), np.empty(0, np.float32), visits=Visits.nothing(pins.size))
        return found_pins(found)

    def _walker(self, catalog: Catalog) -> ShardWalker:
        return ShardWalker(catalog.graph, catalog.graph.parts[self._at], self._at, ANSWER)


def part_names(clients: Sequence[Client], shards: int) -> list[str]:
    """The deployments of the source `walk`, one for each part of the graph; none where it is not walked in parts.

    A `walk` that is another generator than the one that ships knows nothing of parts.
    """
    own = [client.sources[WALK].use for client in clients if WALK in client.sources]
    if shards == 1 or not own or any(use not in ("", WALK) for use in own):
        return []
    return [f"{WALK}-{at + 1}" for at in range(shards)]


def gathered(query: Query, budget: int, found: Sequence[FoundPins]) -> FoundPins:
    """What `walk` over the whole graph finds, from what its parts found; those that are not there are missing in it."""
    visits = [ShardVisits(one.pins, one.visits.by_query) for one in found if one.visits is not None and len(one.pins)]
    return found_pins(gather(query.catalog.graph, visits, params_of(query, budget), len(query.pins)))


def warm() -> None:
    """Compiles what `gathered` calls, or loads what was compiled before."""
    one = ShardVisits(np.zeros(1, np.int32), np.ones((1, 1), np.uint32))
    summed([one], 1, 0.5)
