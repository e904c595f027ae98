"""The Ray build against the in-memory one: the same bytes, whatever the partitions, ids and locales."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest

from cluster.catalog.build import build_catalog
from cluster.catalog.catalog import Catalog
from cluster.catalog.pruning import PRUNED
from cluster.data.inputs import open_inputs
from cluster.errors import DataError
from cluster.graph import build, shards
from cluster.graph.build import build_graph
from cluster.graph.csr import Graph
from cluster.graph.partition import PartitionPlan
from cluster.graph.span import Span
from cluster.settings.project import GraphSettings, Project
from cluster.store.bundles import BundleStore
from tests.worlds.inputs import FEATURES, START_US, YEAR_US, random_tables, write_project

pytestmark = pytest.mark.usefixtures("ray_session")
CUT = (START_US + YEAR_US // 2) / 1e6


def bundles(tmp_path: Path, project: Project, **options: object) -> tuple[Path, Path]:
    """The folders of one bundle built with Ray and one built in memory."""
    store = BundleStore(project.home)
    return tuple(  # type: ignore[return-value]
        store.open("graph", build_catalog(project, store, in_memory=in_memory, **options)).path
        for in_memory in (False, True)
    )


def same_bytes(one: Path, other: Path) -> None:
    names = sorted(str(p.relative_to(one)) for p in one.rglob("*.*") if p.name != "manifest.json")
    assert names == sorted(str(p.relative_to(other)) for p in other.rglob("*.*") if p.name != "manifest.json")
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("kind", ["int64", "string"])
@pytest.mark.parametrize(("partitions", "dealt"), [(1, 1), (5, 1), (5, 3)])
def test_ray_and_memory_build_the_same_bundle(tmp_path: Path, kind: str, partitions: int, dealt: int) -> None:
    links: Literal["yes", "auto"] = "yes" if partitions > 1 else "auto"  # auto: none in so small a graph
    graph = GraphSettings(partitions=partitions, min_board_pins=2, max_board_pins=60, links=links, shards=dealt)
    project = write_project(tmp_path, random_tables(kind), kind, FEATURES, graph)
    seen: list[str] = []
    one, other = bundles(tmp_path, project, progress=lambda step, share: seen.append(step))
    same_bytes(one, other)
    opened = Catalog.open(one, "v").checked().graph
    assert len(opened.parts) == dealt
    assert {part.links is not None for part in opened.parts} == {links == "yes"}
    drops = json.loads((one / "catalog.json").read_text())["drops"]["edges"]["dropped"]
    assert len(drops) == 4, drops  # repeats, unknown pins, small boards, large boards
    steps = "read pins and users", "scatter", "boards", "pins", "finish", "assemble", "write pins and users"
    assert list(dict.fromkeys(seen)) == [*steps, "measure likeness"]
    assert not (Path(project.home) / "build").exists()


def test_ray_and_memory_prune_to_the_same_bundle(tmp_path: Path) -> None:
    graph = GraphSettings(partitions=2, prune_boards=0.1, prune_delta=0.8, links="yes")
    one, other = bundles(tmp_path, write_project(tmp_path, random_tables("string"), "string", FEATURES, graph))
    same_bytes(one, other)
    assert json.loads((one / "catalog.json").read_text())["drops"]["edges"]["dropped"][PRUNED] > 0
    assert Graph.open(one / "graph").links is not None


def test_edges_alone_without_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "GROUP_ROWS", 500)
    tables = {"edges": random_tables("string", n_boards=15)["edges"].select(["board_id", "pin_id"])}
    same_bytes(*bundles(tmp_path, write_project(tmp_path, tables, "string", row_group=90)))


def test_a_cut_is_the_same_either_way(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    project = write_project(tmp_path, random_tables(), "int64", FEATURES)
    one, other = bundles(tmp_path, project, edges_before=datetime.fromtimestamp(CUT, UTC))
    same_bytes(one, other)
    assert 0 < Catalog.open(one, "v").graph.n_edges < 1200


def test_the_graph_equals_from_edges(tmp_path: Path) -> None:
    edges = random_tables(n_edges=5000)["edges"]
    project = write_project(tmp_path, {"edges": edges})
    source = open_inputs(project)["edges"]
    built = build_graph(source, tmp_path / "graph", GraphSettings(partitions=4), scratch=tmp_path / "scratch")
    boards, board_index = np.unique(edges["board_id"].to_numpy(), return_inverse=True)
    pins, pin_index = np.unique(edges["pin_id"].to_numpy(), return_inverse=True)
    expected = Graph.from_edges(board_index, pin_index, len(boards), len(pins), pins, boards)
    for name in ("pin_index", "pin_boards", "board_index", "board_pins"):
        assert np.array_equal(getattr(built.graph, name), getattr(expected, name)), name
    assert np.array_equal(built.graph.pin_ids.ids_of(np.arange(len(pins))), pins)
    assert np.array_equal(built.dated, built.graph.pin_degree)


def test_an_interrupted_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_inputs(write_project(tmp_path, random_tables()))["edges"]
    settings, scratch = GraphSettings(partitions=3), tmp_path / "scratch"

    def crash(*_: object) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(build, "assemble", crash)
        with pytest.raises(RuntimeError, match="power"):
            build_graph(source, tmp_path / "a", settings, scratch=scratch)
    (left,) = scratch.iterdir()
    (left / "finish" / "1.json").unlink()
    stamps = {p: p.stat().st_mtime_ns for p in left.rglob("*.npy") if p.parent != left / "finish" / "1"}
    seen: list[tuple[str, float]] = []
    with monkeypatch.context() as patch:
        patch.setattr(build, "_sweep", lambda done: None)
        again = build_graph(source, tmp_path / "a", settings, scratch=scratch, progress=lambda *step: seen.append(step))
    assert stamps
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps  # nothing was done twice
    assert ("pins", 1.0) in seen
    assert ("pins", 0.0) not in seen
    fresh = build_graph(source, tmp_path / "b", settings, scratch=tmp_path / "other")
    assert np.array_equal(again.graph.board_pins, fresh.graph.board_pins)
    changed = GraphSettings(partitions=3, max_board_pins=50)
    build_graph(source, tmp_path / "c", changed, scratch=scratch)  # other settings do not pick up old pieces
    assert left.exists()


def test_bad_rows_in_a_worker_are_one_line(tmp_path: Path) -> None:
    tables = random_tables()
    values = tables["edges"]["pin_id"].cast(pa.float64()).to_pylist()
    values[1234] = 0.5
    tables["edges"] = tables["edges"].set_column(1, "pin_id", pa.array(values))
    project = write_project(tmp_path, tables, features=FEATURES)
    store = BundleStore(project.home)
    with pytest.raises(
        DataError, match=r"^edges: .*part-1.parquet: column 'pin_id', row 234: 0.5 \(double\) is not int64"
    ):
        build_catalog(project, store)
    assert store.versions("graph") == []


def test_nothing_left_is_one_line(tmp_path: Path) -> None:
    tables = random_tables()
    tables["pins"] = tables["pins"].slice(0, 0)
    project = write_project(tmp_path, tables, features=FEATURES)
    with pytest.raises(
        DataError, match=r"no edge is left to build a graph from .*2000 rows: pin_id is not among the pins"
    ):
        build_catalog(project, BundleStore(project.home))


def test_no_rows_at_all_is_one_line(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"edges": random_tables()["edges"].slice(0, 0)})
    with pytest.raises(DataError, match="the files hold no rows"):
        build_catalog(project, BundleStore(project.home))


def test_one_task_may_flush_several_times(tmp_path: Path) -> None:
    source = open_inputs(write_project(tmp_path, random_tables(), row_group=50))["edges"]
    (tmp_path / "plan").mkdir()
    plan = PartitionPlan(
        str(tmp_path / "plan"),
        (100, 300),
        (500,),
        ("board_id", "pin_id"),
        2 * START_US,
        None,
        GraphSettings(),
        False,
        0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "FLUSH_ROWS", 300)
        patch.setattr("cluster.data.reading.BATCH_ROWS", 64)
        assert shards.scatter(plan, 0, source, source.pieces)["rows"] == 2000
    edges = random_tables()["edges"]
    made = [shards.boards(plan, at, 1, Span()) for at in range(3)]
    assert sum(m["edges"] for m in made) == len(
        set(zip(*(edges[n].to_pylist() for n in ("board_id", "pin_id")), strict=True))
    )
