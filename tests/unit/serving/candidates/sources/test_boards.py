"""The source `boards` reads on until its budget is filled, and a larger budget only adds pins."""

import numpy as np
import pytest

from apps.project import Opened
from cluster.attributes.filters import Between
from serving.candidates.query import Query
from serving.candidates.sources.boards import BoardOptions, LikeBoards
from serving.candidates.stage import CandidatesLogic
from serving.request.deadline import Deadline
from tests.worlds.filters import filtered_world
from tests.worlds.funnel import ask, some_user

ENDLESS = Deadline(float("inf"))
NARROW = [None, Between("image_quality", low=0.5), Between("image_quality", low=0.8)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return filtered_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(params=NARROW, ids=str)
def query(world: Opened, request: pytest.FixtureRequest) -> Query:
    asked = ask(user_id=some_user(world), filter=request.param)
    return CandidatesLogic(world.new_process().catalogs, world.clients, 32).query(asked)


def _reached(query: Query) -> set[int]:
    """Pins that may be shown of all boards with a query pin, by sets."""
    graph = query.catalog.graph
    boards = [board for board in range(graph.n_boards) if set(graph.pins_of(board).tolist()) & set(query.pins.tolist())]
    free = query.may_show()
    free[query.pins] = False
    return {pin for board in boards for pin in graph.pins_of(board).tolist() if free[pin]}


@pytest.mark.parametrize("boards", [1, 3, 1000])
def test_the_budget_is_filled_as_long_as_a_board_is_left(query: Query, boards: int) -> None:
    reached = _reached(query)
    assert reached
    source = LikeBoards(BoardOptions(boards=boards))
    for budget in (1, max(1, len(reached) // 2), 10_000):
        found = source.generate(query, budget, ENDLESS)
        assert len(found.pins) == min(budget, len(reached))
        assert set(found.pins.tolist()) <= reached
        assert len(np.unique(found.pins)) == len(found.pins)
        for pin, board in zip(found.pins.tolist(), found.origin.of.tolist(), strict=True):
            assert pin in query.catalog.graph.pins_of(board)


@pytest.mark.parametrize("boards", [1, 3])
def test_a_larger_budget_only_adds_pins(query: Query, boards: int) -> None:
    source = LikeBoards(BoardOptions(boards=boards))
    most = source.generate(query, 10_000, ENDLESS)
    for budget in (1, 7, 60):
        found = source.generate(query, budget, ENDLESS)
        assert found.pins.tolist() == most.pins[:budget].tolist()
        assert found.score.tolist() == most.score[:budget].tolist()


def test_the_deadline_ends_the_search(query: Query) -> None:
    source = LikeBoards(BoardOptions(boards=1))
    found = source.generate(query, 10_000, Deadline.after(-1.0))
    assert len(set(found.origin.of.tolist())) <= 1
    assert len(found.pins) < len(_reached(query))
