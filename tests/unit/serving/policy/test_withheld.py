"""Which pins a taken-down board takes with it, against a plain count over all boards."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.project import Opened
from cluster.catalog.catalog import Catalog
from cluster.control.removals import Removals, Removed
from serving.policy.withheld import Withheld, withheld_pins
from tests.worlds.funnel import opened_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def catalog(world: Opened) -> Catalog:
    return world.new_process().catalogs.current


def by_hand(catalog: Catalog, pins: set[int], boards: set[int]) -> list[int]:
    graph = catalog.graph
    names = graph.board_ids.ids_of(np.arange(graph.n_boards)).tolist()
    boards_of: dict[int, set[int]] = {}
    for board in range(graph.n_boards):
        for pin in graph.pins_of(board).tolist():
            boards_of.setdefault(pin, set()).add(names[board])
    pin_names = graph.pin_ids.ids_of(np.arange(graph.n_pins)).tolist()
    return [
        pin for pin in range(graph.n_pins)
        if pin_names[pin] in pins or (pin in boards_of and boards_of[pin] <= boards)
    ]  # fmt: skip


@given(data=st.data())
@settings(max_examples=20)
def test_a_board_takes_the_pins_that_nobody_else_has(catalog: Catalog, data: st.DataObject) -> None:
    graph = catalog.graph
    boards = graph.board_ids.ids_of(np.arange(graph.n_boards)).tolist()
    pins = graph.pin_ids.ids_of(np.arange(graph.n_pins)).tolist()
    some_boards = frozenset(data.draw(st.one_of(st.sets(st.sampled_from(boards)), st.just(set(boards)))))
    some_pins = frozenset(data.draw(st.sets(st.sampled_from([*pins, -77]), max_size=5)))
    found = withheld_pins(Removed(some_pins, some_boards), catalog)
    assert found.tolist() == by_hand(catalog, set(some_pins), set(some_boards))
    assert found.dtype == np.int32


def test_a_change_by_another_process_counts_at_the_next_look(catalog: Catalog, tmp_path: Path) -> None:
    withheld = Withheld(Removals(tmp_path))
    assert not len(withheld.of(catalog))
    pin = int(catalog.graph.pin_ids.ids_of(np.array([3]))[0])
    Removals(tmp_path).remove([pin], [5])
    assert withheld.of(catalog).tolist() == by_hand(catalog, {pin}, {5})
    assert withheld.has_board(5)
    Removals(tmp_path).restore([pin], [5])
    assert not len(withheld.of(catalog))
    assert not withheld.has_board(5)
