"""A day's edges merged into a published bundle: what a full build of both would say, by id."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cluster.catalog.build import Tables, build_catalog, build_catalog_in_memory
from cluster.catalog.catalog import Catalog
from cluster.catalog.merge import merge_edges
from cluster.data.inputs import open_inputs
from cluster.errors import BundleError, ConfigError, DataError
from cluster.features.assemble import FeatureSet
from cluster.graph.csr import Graph
from cluster.graph.incremental import ALREADY_THERE
from cluster.settings.project import GraphSettings, Project
from cluster.store.bundles import BundleStore
from cluster.store.standing import Ordered, Standing
from cluster.walk.walker import Walker, WalkParams
from tests.worlds.inputs import FEATURES, START_US, YEAR_US, ids_of, random_tables, times_of, write_project

KINDS = pytest.mark.parametrize("kind", ["int64", "string"])


def split(edges: pa.Table, kind: str) -> tuple[pa.Table, pa.Table]:
    """An old part, which holds the first and the last save, and a new one with pins and boards of its own."""
    late = pc.or_(pc.is_in(edges["pin_id"], late_pins(kind)), pc.is_in(edges["board_id"], ids_of([3, 60], kind)))
    ends = pc.is_in(
        edges["saved_at"], pa.array(list(pc.min_max(edges["saved_at"]).as_py().values()), times_of([0]).type)
    )
    late = pc.and_(late, pc.invert(ends))
    return edges.filter(pc.invert(late)), edges.filter(late)


def late_pins(kind: str) -> pa.Array:
    """Pins that only the new part has, and two that it lists and that are on no board even then."""
    return ids_of([*range(0, 300, 9), 302, 310], kind)


def listed_later(
    folder: Path, tables: dict[str, pa.Table], kind: str, shards: int = 1
) -> tuple[Project, BundleStore, Catalog]:
    """`published` before the pins input had the late pins, which it has by now."""
    pins = tables["pins"]
    early = pins.filter(pc.invert(pc.is_in(pins["pin_id"], late_pins(kind))))
    project, store, base = published(folder, {**tables, "pins": early}, kind, shards)
    write_project(folder, tables, kind, FEATURES)
    return project, store, base


def published(
    folder: Path, tables: dict[str, pa.Table], kind: str, shards: int = 1
) -> tuple[Project, BundleStore, Catalog]:
    project = write_project(folder, tables, kind, FEATURES, GraphSettings(shards=shards))
    store = BundleStore(project.home)
    build_catalog(project, store, in_memory=True)
    return project, store, current(store)


def pairs_of(graph: Graph) -> set[tuple[Any, Any]]:
    """Its edges by id."""
    boards = graph.board_ids.ids_of(np.repeat(np.arange(graph.n_boards), graph.board_degree))
    return set(zip(boards.tolist(), graph.pin_ids.ids_of(graph.board_pins).tolist(), strict=True))


def current(store: BundleStore) -> Catalog:
    bundle = store.open("graph")
    return Catalog.open(bundle.path, bundle.version)


def whole_build(folder: Path, tables: dict[str, pa.Table], project: Project) -> Catalog:
    return build_catalog_in_memory(Tables(**tables), project, folder)


def day_file(folder: Path, edges: pa.Table) -> str:
    pq.write_table(edges, folder / "day.parquet")
    return str(folder / "day.parquet")


@KINDS
@pytest.mark.parametrize("shards", [1, 3])
def test_a_merge_says_what_a_full_build_says(tmp_path: Path, kind: str, shards: int) -> None:
    tables = random_tables(kind)
    old, new = split(tables["edges"], kind)
    project, store, base = listed_later(tmp_path, {**tables, "edges": old}, kind, shards)
    new = pa.concat_tables([new, old.slice(0, 50), new.slice(0, 7)])  # some repeated, some there already
    done = merge_edges(project, store, day_file(tmp_path, new))
    merged = current(store)
    full = whole_build(tmp_path / "full", tables, project)
    assert merged.version == done.version == store.current("graph") != base.version == done.base
    assert merged.counts == full.counts == done.counts
    assert done.added == {name: full.counts[name] - base.counts[name] for name in ("edges", "pins", "boards")}
    assert min(done.added.values()) > 0
    assert (base.graph.pin_degree == 0).sum() == 10
    assert (merged.graph.pin_degree == 0).sum() == (full.graph.pin_degree == 0).sum() == 12
    assert done.drops["edges"]["dropped"][ALREADY_THERE] > 0
    assert store.open("graph").meta["base"] == base.version
    assert store.open("graph").meta.get("shards", 1) == len(merged.graph.parts) == shards
    for mine, theirs in zip(merged.graph.parts, full.graph.parts, strict=True):  # each edge is in its board's part
        assert pairs_of(mine) == pairs_of(theirs)
    at = merged.graph.pin_ids.index_of(full.graph.pin_ids.ids_of(np.arange(full.graph.n_pins)))
    np.testing.assert_array_equal(np.asarray(merged.pins.static)[at], full.pins.static)
    column = [merged.pins.vocabulary.topics.index(name) for name in full.pins.vocabulary.topics]
    np.testing.assert_array_equal(np.asarray(merged.pins.topics)[np.ix_(at, column)], full.pins.topics)
    np.testing.assert_array_equal(np.asarray(merged.pins.vectors)[at], full.pins.vectors)
    for name in ("de", "us", "fr", ""):
        mine, theirs = merged.graph.locale_range(name), full.graph.locale_range(name)
        assert set(merged.graph.pin_ids.ids_of(np.arange(*mine))) == set(full.graph.pin_ids.ids_of(np.arange(*theirs)))
        code = merged.pins.locale_code(name)
        if name:
            assert np.flatnonzero(merged.pins.locale == code).tolist() == list(range(*mine))
            saved = [pin for pin in range(*mine) if merged.graph.pin_degree[pin]]
            assert sorted(merged.pins.popular(code, 10**6)) == saved


@KINDS
def test_users_still_name_the_pins_that_they_acted_on(tmp_path: Path, kind: str) -> None:
    tables = random_tables(kind)
    old, new = split(tables["edges"], kind)
    project, store, base = listed_later(tmp_path, {**tables, "edges": old}, kind)
    merge_edges(project, store, day_file(tmp_path, new))
    merged, full = current(store), whole_build(tmp_path / "full", tables, project)
    known, longer = base.graph.pin_ids, 0
    for user in ids_of(range(41), kind).to_pylist():
        row, before = merged.users.row(user), base.users.row(user)
        assert row.pin_ids.tolist() == full.users.row(user).pin_ids.tolist()
        kept = [pin for pin, at in zip(row.pin_ids.tolist(), known.index_of(row.pin_ids), strict=True) if at >= 0]
        assert kept == before.pin_ids.tolist()[: len(kept)]
        longer += len(kept) < len(row.pin_ids)
    assert longer  # acts on pins that only the new edges brought


def test_a_walk_reaches_a_pin_that_was_added(tmp_path: Path) -> None:
    tables = {"edges": random_tables()["edges"].select(["board_id", "pin_id"])}
    project, store, base = published(tmp_path, tables, "int64")
    board, pin = tables["edges"]["board_id"][0].as_py(), tables["edges"]["pin_id"][0].as_py()
    assert base.graph.pin_ids.index_of([10**9])[0] == -1
    merge_edges(project, store, day_file(tmp_path, pa.table({"board_id": [board], "pin_id": [10**9]})))
    walked = Walker(current(store).graph).walk([pin], params=WalkParams(steps=50_000, top_k=1000), seed=1)
    assert 10**9 in walked.pin_ids.tolist()
    back = Walker(current(store).graph).walk([10**9], params=WalkParams(steps=1000, top_k=1000), seed=1)
    assert pin in back.pin_ids.tolist()


def test_recent_saves_fade_as_time_moves_on(tmp_path: Path) -> None:
    """Ten merges, each of a hundredth of the time: the estimate stays near what a full build counts."""
    tables = random_tables(n_edges=20_000)
    tables["edges"] = tables["edges"].filter(pa.compute.is_in(tables["edges"]["pin_id"], tables["pins"]["pin_id"]))
    edges, step = tables["edges"], YEAR_US // 100

    def between(start: int, end: int) -> pa.Table:
        times = edges["saved_at"].cast(pa.int64()).to_numpy()
        return edges.filter(pa.array((times >= START_US + start) & (times < START_US + end)))

    project, store, _ = published(tmp_path, {**tables, "edges": between(0, 90 * step)}, "int64")
    for day in range(90, 100):
        merge_edges(project, store, day_file(tmp_path, between(day * step, (day + 1) * step)))
    merged = current(store)
    full = whole_build(tmp_path / "full", {**tables, "edges": between(0, 100 * step)}, project)
    assert merged.counts == full.counts
    share = FeatureSet.of(FEATURES).pin.index("pin_recent_share")
    at = merged.graph.pin_ids.index_of(full.graph.pin_ids.ids_of(np.arange(full.graph.n_pins)))
    saved = full.graph.pin_degree > 0
    mine, theirs = np.asarray(merged.pins.static)[at, share][saved], np.asarray(full.pins.static[saved, share])
    assert np.nanmean(mine) == pytest.approx(np.nanmean(theirs), rel=0.1)
    assert np.corrcoef(mine, theirs)[0, 1] > 0.8
    age = FeatureSet.of(FEATURES).pin.index("pin_age_days")
    np.testing.assert_array_equal(np.asarray(merged.pins.static)[at, age], full.pins.static[:, age])


def test_a_new_locale_waits_for_the_next_full_build(tmp_path: Path) -> None:
    tables = random_tables()
    project, store, base = published(tmp_path, tables, "int64")
    fresh = ids_of(range(1000, 1400), "int64")
    rows = pa.table({"pin_id": fresh, "locale": pa.array(["xx", "us"] * 200)})
    listed = pa.concat_tables([tables["pins"], rows], promote_options="default")
    write_project(tmp_path, {**tables, "pins": listed}, "int64", FEATURES)
    merge_edges(project, store, day_file(tmp_path, pa.table({"board_id": ids_of([1] * 400, "int64"), "pin_id": fresh})))
    merged = current(store)
    assert merged.graph.n_pins == base.graph.n_pins + 400
    assert merged.pins.vocabulary.locales == base.pins.vocabulary.locales  # though "us" is the most frequent one now
    added = merged.graph.pin_ids.index_of(fresh)
    assert set(merged.pins.locale[added[::2]]) == {-1}
    assert set(merged.pins.locale[added[1::2]]) == {merged.pins.locale_code("us")}
    start, end = merged.graph.locale_range("us")
    assert np.flatnonzero(merged.pins.locale == merged.pins.locale_code("us")).tolist() == list(range(start, end))


def test_the_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    tables = random_tables()
    old, new = split(tables["edges"], "int64")
    project, store, _ = published(tmp_path, {**tables, "edges": old}, "int64")
    file = day_file(tmp_path, new)
    first = merge_edges(project, store, file)
    second = merge_edges(project, store, file)
    assert first.counts == second.counts
    assert set(second.added.values()) == {0}
    one, other = (store.open("graph", done.version).path for done in (first, second))
    for name in ("pins/static.npy", "pins/recent.npy", "graph/board_pins.npy", "users/pins.npy"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize(
    ("edges", "says"),
    [
        (
            {"board_id": [1, 2], "pin_id": [1.0, 2.5]},
            r"day.parquet: column 'pin_id', row 1: 2.5 \(double\) is not int64",
        ),
        ({"board_id": [1], "item": [1]}, r"no column 'pin_id': name .*, rename it \(--edges takes the columns of"),
        ({"board_id": [1, 1], "pin_id": [9, None]}, r"no edge is left to add \(.*1 rows: pin_id is not among the pins"),
        ({"board_id": pa.array([], pa.int64()), "pin_id": pa.array([], pa.int64())}, "the files hold no rows"),
        (None, "day.parquet: does not exist: set `--edges` to a Parquet file or folder"),
    ],
)
def test_a_bad_file_is_one_line_and_publishes_nothing(tmp_path: Path, edges: dict | None, says: str) -> None:
    project, store, base = published(tmp_path, random_tables(), "int64")
    file = str(tmp_path / "day.parquet") if edges is None else day_file(tmp_path, pa.table(edges))
    with pytest.raises(DataError, match=says):
        merge_edges(project, store, file)
    assert store.versions("graph") == [base.version]
    assert store.current("graph") == base.version


def test_columns_are_those_of_the_edges_input(tmp_path: Path) -> None:
    tables = {"edges": random_tables()["edges"].rename_columns(["basket", "item", "at"])}
    names = {"board_id": "basket", "pin_id": "item", "saved_at": "at"}
    project = write_project(tmp_path, tables, columns={"edges": names})
    store = BundleStore(project.home)
    build_catalog(project, store, in_memory=True)
    done = merge_edges(
        project, store, day_file(tmp_path, pa.table({"basket": [10**6], "item": [10**6], "at": times_of([START_US])}))
    )
    assert done.added == {"edges": 1, "pins": 1, "boards": 1}


def test_a_merge_needs_an_unpruned_graph_with_the_same_ids(tmp_path: Path) -> None:
    tables = random_tables()
    project = write_project(tmp_path, tables, "int64", FEATURES)
    store, file = BundleStore(project.home), day_file(tmp_path, tables["edges"].slice(0, 5))
    with pytest.raises(BundleError, match=r"no graph is published .* run `pinfunnel build-graph` first"):
        merge_edges(project, store, file)
    pruning = project.model_copy(update={"graph": GraphSettings(prune_delta=0.8)})
    build_catalog(pruning, store, in_memory=True)
    for asked in (project, pruning):  # the bundle is pruned, whatever the settings say by now
        with pytest.raises(ConfigError, match="cannot be added to a graph that is pruned by topics"):
            merge_edges(asked, store, file)
    build_catalog(project, store, in_memory=True)
    with pytest.raises(BundleError, match=r"has int64 ids and pinfunnel.yaml says `ids: string`"):
        merge_edges(project.model_copy(update={"ids": "string"}), store, file)
    (store.open("graph").path / "pins" / "span.json").write_text("{}x")
    with pytest.raises(BundleError, match=r"build the graph again|publish another version"):
        merge_edges(project, store, file)


def test_a_held_graph_takes_no_edges_as_the_next_day_would_be_added_without_them(tmp_path: Path) -> None:
    tables = random_tables("int64")
    project, store, _ = published(tmp_path, tables, "int64")
    store.standings.change("graph", lambda standing: Standing(Ordered.now("a sale"), standing.taken_back))
    before = store.versions("graph")
    with pytest.raises(BundleError, match=r"held since .*a sale.*models release graph"):
        merge_edges(project, store, str(tmp_path / "edges.parquet"))
    assert store.versions("graph") == before


def test_a_graph_published_meanwhile_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, store, base = published(tmp_path, random_tables(), "int64")
    file, others = day_file(tmp_path, random_tables(seed=1)["edges"]), []

    def meanwhile(step: str, share: float) -> None:
        if (step, share) == ("merge", 0.0):
            others.append(build_catalog(project, store, in_memory=True))

    with pytest.raises(BundleError, match="another graph was published while"):
        merge_edges(project, store, file, progress=meanwhile)
    assert store.current("graph") == others[0] != base.version
    assert len(store.versions("graph")) == 2


def test_without_publishing_serving_stays_where_it_is(tmp_path: Path) -> None:
    project, store, base = published(tmp_path, random_tables(), "int64")
    done = merge_edges(project, store, day_file(tmp_path, random_tables(seed=1)["edges"]), publish=False)
    assert store.current("graph") == base.version
    opened = Catalog.open(store.open("graph", done.version).path, done.version)
    assert opened.counts == done.counts
    assert open_inputs(project)["edges"].rows == 2000  # the inputs are left alone


def test_edges_are_not_added_to_a_graph_in_other_parts_than_the_settings_say(tmp_path: Path) -> None:
    tables = {"edges": random_tables()["edges"]}
    _, store, _ = published(tmp_path, tables, "int64", shards=2)
    project = write_project(tmp_path, tables, "int64", FEATURES, GraphSettings(shards=3))
    with pytest.raises(BundleError, match=r"has 2 shards and pinfunnel.yaml says `graph: \{shards: 3\}`.*build-graph"):
        merge_edges(project, store, day_file(tmp_path, tables["edges"].slice(0, 9)))
