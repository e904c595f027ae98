"""A graph in parts as a build leaves it: what its folder holds, what it says of the whole, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import BundleError
from cluster.graph import packing, splitting
from cluster.graph.checks import check_graph
from cluster.graph.csr import Graph
from cluster.graph.sharded import ShardedGraph, open_graph
from cluster.graph.splitting import in_parts, lay_out, part_of_boards
from cluster.settings.project import GraphSettings

ARRAYS = ("pin_index", "pin_boards", "board_index", "board_pins")
PARTS = 4


def random_graph(seed: int = 0, edges: int = 600) -> Graph:
    rng = np.random.default_rng(seed)
    boards = [f"board {n}" for n in range(50)]
    locales = {"pin_locale": rng.integers(0, 3, 120), "locales": ["de", "us", ""]}
    return Graph.from_edges(rng.integers(0, 50, edges), rng.integers(0, 120, edges), 50, 120, None, boards, **locales)


def laid_out(folder: Path, graph: Graph, **settings: object) -> Path:
    graph.save(folder)
    mapped = Graph.open(folder)
    lay_out(folder, mapped, GraphSettings(**{"shards": PARTS, **settings}))  # type: ignore[arg-type]
    np.testing.assert_array_equal(mapped.board_pins, graph.board_pins)  # builds go on with it
    np.testing.assert_array_equal(mapped.pin_index, graph.pin_index)
    return folder


@pytest.mark.parametrize("links", ["no", "yes"])
@pytest.mark.parametrize("chunk", [7, 1 << 22])
def test_a_folder_holds_the_parts_and_no_edge_beside_them(
    tmp_path: Path, links: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "CHUNK", chunk)
    graph = random_graph()
    found = open_graph(laid_out(tmp_path / "graph", graph, links=links))
    check_graph(found)
    assert not {f"{name}.npy" for name in ("pin_boards", "board_pins", "pin_links", "board_links")} & {
        path.name for path in (tmp_path / "graph").iterdir()
    }
    assert isinstance(found, ShardedGraph)
    made = in_parts(graph, PARTS)
    assert len(found.parts) == len(made.parts) == PARTS
    for mine, theirs in zip(found.parts, made.parts, strict=True):
        assert (mine.links is not None) == (links == "yes")
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    again = tmp_path / "again"
    made.save(again)
    for name in ("pin_index", "board_index"):  # the whole's words, wherever they come from
        np.testing.assert_array_equal(getattr(open_graph(again), name), getattr(graph, name))


def test_it_says_of_pins_and_boards_what_the_whole_says(tmp_path: Path) -> None:
    graph = random_graph(1)
    found = open_graph(laid_out(tmp_path, graph))
    assert (found.n_pins, found.n_boards, found.n_edges) == (graph.n_pins, graph.n_boards, graph.n_edges)
    np.testing.assert_array_equal(found.pin_degree, graph.pin_degree)
    np.testing.assert_array_equal(found.board_degree, graph.board_degree)
    assert [found.pins_of(board).tolist() for board in range(50)] == [graph.pins_of(n).tolist() for n in range(50)]
    assert [found.locale_range(name) for name in ("de", "us", "fr")] == [
        graph.locale_range(name) for name in ("de", "us", "fr")
    ]
    assert found.nbytes > graph.nbytes


@pytest.mark.parametrize("few", [True, False])
def test_whether_links_are_worth_it_is_a_question_of_the_whole(
    tmp_path: Path, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = random_graph()
    monkeypatch.setattr(packing, "FEW_NODES", 0)
    monkeypatch.setattr(packing, "MANY_EDGES", graph.n_edges - (0 if few else 1))
    parts = open_graph(laid_out(tmp_path, graph, links="auto")).parts
    assert {part.links is not None for part in parts} == {few}


def test_one_shard_is_a_graph_as_ever(tmp_path: Path) -> None:
    found = open_graph(laid_out(tmp_path, random_graph(), shards=1))
    assert isinstance(found, Graph)
    assert found.parts == (found,)
    assert "shards" not in json.loads((tmp_path / "graph.json").read_text())


def test_more_parts_than_boards_leave_some_empty(tmp_path: Path) -> None:
    graph = Graph.from_edges([0, 1], [0, 1], 2, 2)
    found = open_graph(laid_out(tmp_path, graph, shards=9))
    check_graph(found)
    assert sorted(part.n_edges for part in found.parts)[-3:] in ([0, 1, 1], [0, 0, 2])


@pytest.mark.parametrize("damage", ["lost", "short", "facts"])
def test_a_folder_that_lacks_a_part_is_refused(tmp_path: Path, damage: str) -> None:
    laid_out(tmp_path, random_graph())
    if damage == "lost":
        (tmp_path / "part-002" / "board_pins.npy").unlink()
    elif damage == "short":
        np.save(tmp_path / "part-002" / "board_pins.npy", np.zeros(3, np.int32))
    else:
        facts = json.loads((tmp_path / "graph.json").read_text())
        (tmp_path / "graph.json").write_text(json.dumps(facts | {"shards": PARTS - 1}))
    with pytest.raises(BundleError, match="build it again"):
        open_graph(tmp_path)


def test_only_the_parts_that_are_walked_here_are_read_through(tmp_path: Path) -> None:
    graph = random_graph(2)
    laid_out(tmp_path, graph)
    bad = int(part_of_boards(graph, PARTS)[0])
    path = tmp_path / f"part-{bad:03d}" / "board_pins.npy"
    edges = np.load(path)
    edges[0] = graph.n_pins
    np.save(path, edges)
    found = open_graph(tmp_path)
    check_graph(found, [at for at in range(PARTS) if at != bad])
    check_graph(found, [])
    for parts in (None, [bad]):
        with pytest.raises(BundleError, match="pins of boards"):
            check_graph(found, parts)
