"""The source `boards`: pins of the boards that are most like the user's (nearest neighbours among containers)."""

import numpy as np
from pydantic import Field

from cluster.catalog.catalog import Catalog
from cluster.settings.parsing import Settings
from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query
from serving.candidates.weight_sums import WeightSums, best, warm
from serving.request.deadline import Deadline
from serving.request.found import FoundPins, Origin


class BoardOptions(Settings):
    """How boards are weighed, and how many count."""

    boards: int = Field(100, ge=1, le=10_000, description="so many of the nearest boards at a time")
    size_power: float = Field(0.5, ge=0, le=1, description="what query pins a board has counts less by its size^this")
    pin_power: float = Field(0.3, ge=0, le=1, description="a pin's score is divided by the number of its boards^this")


@register("boards")
class LikeBoards(CandidateGenerator):
    """A board counts by the weight of the query pins on it; a pin by the boards that hold it."""

    in_place = True

    Options = BoardOptions

    def __init__(self, options: BoardOptions):
        self._options = options

    def prepare(self, catalog: Catalog) -> None:
        """Compiles the sums."""
        warm()

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """The origin is the first of the nearest boards that holds the pin.

        Where the nearest boards hold too few pins, those of the next ones come behind them: a larger budget adds pins,
        and reorders none.
        """
        graph, options = query.catalog.graph, self._options
        sums = WeightSums(max(graph.n_pins, graph.n_boards))
        for part in graph.parts:
            sums.add_edges(part.pin_index, part.pin_boards, query.pins, query.weight)
        boards, weight, _ = sums.take()
        size = graph.board_degree[boards].astype(np.float32)
        weight = weight / np.maximum(size, 1.0) ** options.size_power
        nearest = best(weight, len(weight))
        boards, weight = boards[nearest], weight[nearest]
        found = [self._pins_of(query, sums, boards[: options.boards], weight[: options.boards])]
        read = options.boards
        while sum(len(part.pins) for part in found) < budget and read < len(boards) and deadline.left() > 0:
            next_ones = slice(read, read + options.boards)  # behind a filter few pins of the nearest may be shown
            more = self._pins_of(query, sums, boards[next_ones], weight[next_ones])
            known = np.concatenate([one.pins for one in found])
            found.append(more.only(np.flatnonzero(~np.isin(more.pins, known))))
            read += options.boards
        columns = ((one.pins, one.score, one.origin.of) for one in found)
        pins, score, board = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        return FoundPins(pins[:budget], score[:budget], Origin("board", board[:budget]))

    def _pins_of(self, query: Query, sums: WeightSums, boards: np.ndarray, weight: np.ndarray) -> FoundPins:
        """The pins of these boards that may be shown, best first."""
        graph = query.catalog.graph
        for part in graph.parts:
            sums.add_edges(part.board_index, part.board_pins, boards, weight)
        pins, score, origin = sums.take()
        pins, score, origin = (values[query.keeps(pins)] for values in (pins, score, origin))
        score = score / np.maximum(graph.pin_degree[pins], 1).astype(np.float32) ** self._options.pin_power
        first = best(score, len(score))
        return FoundPins(pins[first], score[first], Origin("board", boards[origin[first]]))
