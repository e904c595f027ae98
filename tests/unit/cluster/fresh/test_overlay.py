"""A catalog with fresh rows over it says what the same rows merged into the bundle say."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cluster.catalog.build import build_catalog
from cluster.catalog.catalog import Catalog
from cluster.catalog.merge import merge_edges
from cluster.catalog.nodes import conform
from cluster.catalog.pins import SaveCounts
from cluster.data.schema import edges_columns, pins_columns
from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.fresh.overlay import FreshRows, OverlayBase, parts_of, version_of
from cluster.settings.fresh import FreshSettings
from cluster.settings.project import GraphSettings, Project
from cluster.store.bundles import BundleStore
from cluster.walk.exact import visit_distribution
from cluster.walk.sharded import walker_of
from cluster.walk.walker import Walker, WalkParams
from tests.worlds.inputs import FEATURES, ids_of, random_tables, write_project

ROOM = FreshSettings()
KINDS = pytest.mark.parametrize("kind", ["int64", "string"])
SHARDS = pytest.mark.parametrize("shards", [1, 3])
LOCALES = pytest.mark.parametrize("locales", [True, False])
LATE = [*range(0, 300, 9), 302, 310]
"""Pins that only the fresh rows have; the last two are on no board even then."""


def opened(store: BundleStore) -> Catalog:
    bundle = store.open("graph")
    return Catalog.open(bundle.path, bundle.version)


class World:
    """A published bundle, rows that came later, and the bundle that they make together."""

    def __init__(self, folder: Path, kind: str, locales: bool, seed: int = 0, links: str = "no", shards: int = 1):
        tables = random_tables(kind, seed)
        if not locales:
            for name in ("pins", "users"):
                tables[name] = tables[name].drop_columns(["locale"])
        edges = tables["edges"]
        late = pc.or_(pc.is_in(edges["pin_id"], ids_of(LATE, kind)), pc.is_in(edges["board_id"], ids_of([3, 60], kind)))
        new = edges.filter(late)
        # without times, so that the newest save stays the same
        new = new.set_column(2, "saved_at", pa.nulls(len(new), new["saved_at"].type))
        pins = tables["pins"]
        fresh = pins.filter(pc.is_in(pins["pin_id"], ids_of(LATE, kind)))
        early = pins.filter(pc.invert(pc.is_in(pins["pin_id"], ids_of(LATE, kind))))
        listed = pc.is_in(new["pin_id"], pa.chunked_array(pins["pin_id"].chunks))
        new = new.filter(listed)
        settings = GraphSettings(links=links, shards=shards)  # type: ignore[arg-type]
        events = tables["events"]  # nobody acted yet on what is new
        tables["events"] = events.filter(pc.invert(pc.is_in(events["pin_id"], ids_of(LATE, kind))))
        old = {**tables, "pins": early, "edges": edges.filter(pc.invert(late))}
        self.project = write_project(folder, old, kind, FEATURES, settings)
        self.store = BundleStore(self.project.home)
        build_catalog(self.project, self.store, in_memory=True)
        self.base = opened(self.store)
        self.rows = FreshRows(
            conform(fresh, pa.schema([(c.name, c.type) for c in pins_columns(kind, FEATURES)])),
            conform(new, pa.schema([(c.name, c.type) for c in edges_columns(kind)])),
        )
        self.overlaid = OverlayBase(self.base).overlaid(self.rows, version_of(self.base.version, 1), ROOM)
        write_project(folder, {**old, "pins": pins}, kind, FEATURES, settings)
        pq.write_table(new, folder / "day.parquet")
        merge_edges(self.project, self.store, str(folder / "day.parquet"))
        self.merged = opened(self.store)

    def both(self) -> tuple[Catalog, Catalog, np.ndarray]:
        """Overlaid, merged, and where each pin of the first lies in the second."""
        laid = self.overlaid.catalog
        at = self.merged.graph.pin_ids.index_of(laid.graph.pin_ids.ids_of(np.arange(laid.graph.n_pins)))
        assert sorted(at.tolist()) == list(range(self.merged.graph.n_pins))
        return laid, self.merged, at


Worlds = Callable[..., World]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Each world once: they are read only."""
    made: dict[tuple[Any, ...], World] = {}

    def get(kind: str, locales: bool, seed: int = 0, links: str = "no", shards: int = 1) -> World:
        key = (kind, locales, seed, links, shards)
        if key not in made:
            made[key] = World(tmp_path_factory.mktemp("world"), *key)
        return made[key]

    return get


def boards_by_pin(catalog: Catalog) -> set[tuple[Any, Any]]:
    graph = catalog.graph
    out = set()
    for board, board_id in enumerate(graph.board_ids.ids_of(np.arange(graph.n_boards)).tolist()):
        row = graph.pins_of(board)
        assert (np.diff(row) > 0).all()
        out |= {(board_id, pin) for pin in graph.pin_ids.ids_of(row).tolist()}
    return out


@KINDS
@LOCALES
@SHARDS
def test_graph_and_every_table_are_those_of_a_merge(worlds: Worlds, kind: str, locales: bool, shards: int) -> None:
    world = worlds(kind, locales, shards=shards)
    laid, merged, at = world.both()
    assert laid.counts == merged.counts
    assert (world.overlaid.pins, world.overlaid.edges) == (merged.counts["pins"] - world.base.counts["pins"],
        merged.counts["edges"] - world.base.counts["edges"])  # fmt: skip
    assert boards_by_pin(laid) == boards_by_pin(merged)
    np.testing.assert_array_equal(laid.graph.pin_degree, merged.graph.pin_degree[at])
    np.testing.assert_allclose(np.asarray(laid.pins.static), np.asarray(merged.pins.static)[at], rtol=1e-6)
    np.testing.assert_array_equal(laid.pins.topics, np.asarray(merged.pins.topics)[at][:, : laid.pins.topics.shape[1]])
    np.testing.assert_array_equal(laid.pins.vectors, np.asarray(merged.pins.vectors)[at])
    np.testing.assert_array_equal(laid.pins.locale, np.asarray(merged.pins.locale)[at])
    for name, value in (("shop", "a"), ("shop", "b")):
        pins = np.arange(laid.graph.n_pins)
        assert laid.pins.labels is not None
        assert merged.pins.labels is not None
        np.testing.assert_array_equal(
            laid.pins.labels.holds(name, value, pins), merged.pins.labels.holds(name, value, at)
        )
    same_likeness(laid, merged, at)


def same_likeness(laid: Catalog, merged: Catalog, at: np.ndarray) -> None:
    for name, mine in vars(laid.similarity).items():
        theirs = getattr(merged.similarity, name)
        assert (mine is None) == (theirs is None)
        if mine is None:
            continue
        pins = np.arange(laid.graph.n_pins, dtype=np.int32)
        mine_rows, their_rows = mine.row_of(pins), theirs.row_of(at)
        np.testing.assert_array_equal(mine_rows < 0, their_rows < 0)
        has = mine_rows >= 0
        ids = mine.ids[mine_rows[has]]
        np.testing.assert_array_equal(np.where(ids >= 0, at[ids], -1), theirs.ids[their_rows[has]])


@KINDS
@LOCALES
def test_popular_pins_are_those_of_a_merge(worlds: Worlds, kind: str, locales: bool) -> None:
    laid, merged, at = worlds(kind, locales).both()
    n = laid.graph.n_pins
    recent = SaveCounts.open(merged.path / "pins", merged.graph).recent
    for code in (-1, *range(len(laid.pins.vocabulary.locales))):
        mine = at[laid.pins.popular(code, n)]
        theirs = np.asarray(merged.pins.popular(code, n))
        assert sorted(mine.tolist()) == sorted(theirs.tolist())
        for table in (merged.graph.pin_degree, recent):  # pins of equal counts may change their order with the index
            np.testing.assert_array_equal(table[mine], table[theirs])


@KINDS
@SHARDS
def test_walks_are_those_of_a_merge_step_by_step_where_pins_have_the_same_order(
    worlds: Worlds, kind: str, shards: int
) -> None:
    laid, merged, at = worlds(kind, locales=False, shards=shards).both()
    assert len(laid.graph.parts) == len(merged.graph.parts) == shards
    assert at.tolist() == list(range(merged.graph.n_pins))
    rng = np.random.default_rng(0)
    mine, theirs = walker_of(laid.graph), walker_of(merged.graph)
    for seed in range(20):
        pins = rng.integers(0, laid.graph.n_pins, 3).astype(np.int32)
        one, other = (each.walk_indices(pins, params=WalkParams(steps=5000), seed=seed) for each in (mine, theirs))
        np.testing.assert_array_equal(one.pins, other.pins)
        np.testing.assert_array_equal(one.visits, other.visits)


@pytest.mark.parametrize("links", ["no", "yes"])
@pytest.mark.parametrize("seed", range(3))
def test_walks_visit_as_the_merged_graph_says(worlds: Worlds, links: str, seed: int) -> None:
    laid, merged, at = worlds("int64", True, seed, links).both()
    graph = laid.graph
    assert graph.links is None
    for start in (graph.n_pins - 3, int(np.argmax(graph.pin_degree))):
        if not graph.pin_degree[start]:
            continue
        found = Walker(graph).walk_indices(
            [start], params=WalkParams(steps=400_000, drop_query=False, boost=1.0, top_k=graph.n_pins), seed=seed
        )
        share = np.zeros(graph.n_pins)
        share[found.pins] = found.visits / found.visits.sum()
        begin = np.zeros(graph.n_pins)
        begin[at[start]] = 1.0
        expected = visit_distribution(merged.graph, begin, 0.5)[at]
        assert 0.5 * np.abs(share - expected).sum() < 0.02


@KINDS
def test_what_a_bundle_has_by_now_is_laid_over_it_no_more(worlds: Worlds, kind: str) -> None:
    world = worlds(kind, locales=True)
    again = OverlayBase(world.merged).overlaid(world.rows, version_of(world.merged.version, 1), ROOM)
    assert (again.pins, again.edges) == (0, 0)
    assert again.catalog.graph is world.merged.graph
    assert parts_of(again.catalog.version) == (world.merged.version, 1)


def test_the_base_stays_as_it_was(worlds: Worlds) -> None:
    world = worlds("int64", locales=True)
    kept = opened(world.store)
    before = Catalog.open(world.base.path, "again")
    for name in ("pin_index", "board_index", "pin_boards", "board_pins"):
        np.testing.assert_array_equal(getattr(world.base.graph, name), getattr(before.graph, name))
    np.testing.assert_array_equal(world.base.pins.static, before.pins.static)
    before.checked()
    kept.checked()


@pytest.mark.parametrize(("most_pins", "most_edges"), [(0, 10**6), (5, 10**6), (10**6, 0), (10**6, 7), (5, 3)])
def test_what_there_is_no_room_for_is_counted(worlds: Worlds, most_pins: int, most_edges: int) -> None:
    world = worlds("int64", locales=True)
    few = FreshSettings(pins=most_pins, edges=most_edges)
    got = OverlayBase(world.base).overlaid(world.rows, "v+1", few)
    assert got.pins <= most_pins
    assert got.edges <= most_edges
    assert got.pins + got.waiting_pins == world.overlaid.pins
    assert got.waiting_pins or got.edges + got.waiting_edges == world.overlaid.edges
    walkable(got.catalog)


def walkable(catalog: Catalog) -> None:
    queries = np.arange(catalog.graph.n_pins, dtype=np.int32)[-8:]
    found = Walker(catalog.graph).walk_indices(queries, params=WalkParams(steps=2000))
    assert (found.pins < catalog.graph.n_pins).all()


def test_a_graph_that_is_pruned_takes_no_fresh_pins(tmp_path: Path) -> None:
    tables = random_tables()
    project: Project = write_project(tmp_path, tables, "int64", FEATURES, GraphSettings(prune_delta=0.5))
    store = BundleStore(project.home)
    build_catalog(project, store, in_memory=True)
    with pytest.raises(BundleError, match="pruned"):
        OverlayBase(opened(store))


def test_features_are_told_apart_by_what_changes_them() -> None:
    names: Sequence[str] = FeatureSet.of(FEATURES).pin
    assert {"pin_degree", "pin_recent_share", "pin_actions", "pin_week", "pin_month"} <= set(names)
    assert MappingProxyType({name: 1 for name in names if name.startswith("pin_share_of_")})
