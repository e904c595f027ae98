"""The catalog built in memory: pin rows, user rows and histories against what the tables say."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.catalog.build import Tables, build_catalog, build_catalog_in_memory
from cluster.catalog.catalog import Catalog
from cluster.catalog.nodes import NOT_YET, ON_NO_BOARD
from cluster.catalog.vocabulary import Vocabulary
from cluster.errors import BundleError, DataError
from cluster.features.assemble import FeatureSet
from cluster.features.columns import category_code
from cluster.settings.project import DataSettings, Project, Source
from cluster.store.bundles import BundleStore
from tests.worlds.inputs import FEATURES, START_US, YEAR_US, ids_of, random_tables, times_of, write_project

KINDS = pytest.mark.parametrize("kind", ["int64", "string"])


def project_of(kind: str) -> Project:
    return Project(ids=kind, data=DataSettings(edges=Source(path="unused")), features=FEATURES)


def build(folder: Path, kind: str, tables: dict[str, pa.Table], **options: object) -> Catalog:
    return build_catalog_in_memory(Tables(**tables), project_of(kind), folder, **options)


@KINDS
def test_pin_rows_say_what_the_inputs_say(tmp_path: Path, kind: str) -> None:
    tables = random_tables(kind)
    catalog = build(tmp_path, kind, tables)
    by_time = sorted(tables["edges"].to_pylist(), key=lambda edge: edge["saved_at"])
    edges = {(edge["board_id"], edge["pin_id"]): edge["saved_at"] for edge in by_time}  # the newest counts
    oldest, newest = min(tables["edges"]["saved_at"].to_pylist()), max(tables["edges"]["saved_at"].to_pylist())
    start = newest - (newest - oldest) * 0.1
    names = FeatureSet.of(FEATURES).pin
    assert catalog.pins.static.shape == (catalog.graph.n_pins, len(names))
    for pin in tables["pins"].to_pylist()[::7]:
        times = [time for (_, pin_id), time in edges.items() if pin_id == pin["pin_id"]]
        index = int(catalog.graph.pin_ids.index_of([pin["pin_id"]])[0])
        assert index >= 0
        assert catalog.graph.pin_degree[index] == len(times)  # 0 for a pin that is on no board
        row = dict(zip(names, catalog.pins.static[index].tolist(), strict=True))
        assert row["pin_degree"] == pytest.approx(np.log1p(len(times)))
        assert row["pin_age_days"] == pytest.approx((newest - pin["created_at"]).total_seconds() / 86400, rel=1e-5)
        assert row["pin_recent_share"] == pytest.approx(
            np.mean([t >= start for t in times]) if times else np.nan, nan_ok=True
        )
        assert row["pin_price"] == pytest.approx(pin["price"])
        shop = category_code(np.array([pin["shop"]], dtype=object))[0]
        assert row["pin_shop"] == shop or (np.isnan(shop) and np.isnan(row["pin_shop"]))
        assert catalog.pins.locale[index] == catalog.pins.locale_code(pin["locale"])
        topics = {catalog.pins.vocabulary.topics[t] for t in np.flatnonzero(catalog.pins.topics[index])}
        assert topics == set(pin["topics"] or ())
        assert np.linalg.norm(catalog.pins.topics[index]) == pytest.approx(1.0 if topics else 0.0)
        given = np.zeros(3) if pin["vector"] is None else np.array(pin["vector"]) / np.linalg.norm(pin["vector"])
        content = catalog.pins.content(np.array([index, -1]))
        assert content[0] == pytest.approx(np.append(given, catalog.pins.topics[index]), abs=1e-3)
        assert not content[1].any()
        np.testing.assert_array_equal(catalog.pins.content(np.array([index]), 2), content[:1, :2])
        wider = catalog.pins.content(np.array([index]), content.shape[1] + 3)  # topics that this graph does not have
        np.testing.assert_array_equal(wider, np.pad(content[:1], ((0, 0), (0, 3))))


@KINDS
def test_locales_are_ranges_of_the_graph_and_popular_lists_agree(tmp_path: Path, kind: str) -> None:
    catalog = build(tmp_path, kind, random_tables(kind))
    pins, n = catalog.pins, catalog.graph.n_pins
    assert set(pins.vocabulary.locales) == {"de", "us", "fr"}
    for name in ("de", "us", "fr"):
        code = pins.locale_code(name)
        start, end = catalog.graph.locale_range(name)
        assert (start, end) == catalog.graph.locale_range(code)
        assert list(range(start, end)) == np.flatnonzero(pins.locale == code).tolist()
        saved = start + np.flatnonzero(catalog.graph.pin_degree[start:end])
        assert sorted(pins.popular(code, n)) == saved.tolist()
    assert pins.locale_code(None) == pins.locale_code("xx") == -1
    assert len(pins.popular(pins.locale_code("fr"), 9)) == 0  # only users have it
    assert len(pins.popular(99, 9)) == 0
    order = pins.popular(-1, n)
    assert sorted(order) == list(range(n))
    share = FeatureSet.of(FEATURES).pin.index("pin_recent_share")
    recent = np.nan_to_num(np.round(np.asarray(pins.static[:, share]) * catalog.graph.pin_degree))[order]
    assert (np.diff(recent) <= 0).all()
    ties = np.flatnonzero(np.diff(recent) == 0)
    degree = catalog.graph.pin_degree[order].astype(int)
    assert (degree[ties] >= degree[ties + 1]).all()
    de = pins.locale_code("de")
    assert pins.popular(de, 5).tolist() == [p for p in order if pins.locale[p] == de][:5]


@KINDS
def test_user_rows_hold_the_newest_known_actions(tmp_path: Path, kind: str) -> None:
    tables = random_tables(kind)
    tables["events"] = tables["events"].append_column("client", pa.array(["homefeed", None] * 250))
    catalog = build(tmp_path, kind, tables)
    in_graph = set(tables["pins"]["pin_id"].to_pylist())
    listed = {u["user_id"]: u for u in tables["users"].to_pylist()}
    for user in ids_of(range(41), kind).to_pylist():
        row = catalog.users.row(user)
        events = [e for e in tables["events"].to_pylist() if e["user_id"] == user and e["pin_id"] in in_graph]
        events.sort(key=lambda e: e["occurred_at"], reverse=True)
        events = events[: FEATURES.remembered]
        assert row.pin_ids.tolist() == [e["pin_id"] for e in events]
        assert row.actions.tolist() == [e["action"] for e in events]
        assert row.clients.tolist() == [e["client"] or "" for e in events]
        assert row.occurred_at.tolist() == [round(e["occurred_at"].timestamp() * 1e6) for e in events]
        assert row.known == (user in listed or bool(events))
        if user in listed:
            assert row.locale == catalog.pins.locale_code(listed[user]["locale"])
            assert row.interests[catalog.pins.vocabulary.topics.index("t1")] == 1.0
            assert row.numeric[0] == listed[user]["age"]
            assert np.isnan(row.numeric[1]) == (listed[user]["job"] is None)
        else:
            assert row.locale == -1
            assert not row.interests.any()
            assert np.isnan(row.numeric).all()


@KINDS
def test_unknown_users_get_an_empty_row(tmp_path: Path, kind: str) -> None:
    catalog = build(tmp_path, kind, random_tables(kind))
    for nobody in (None, "no such", -3, 2**80, 1.5):
        row = catalog.users.row(nobody)
        assert not row.known
        assert row.locale == -1
        assert len(row.pin_ids) == len(row.actions) == len(row.clients) == len(row.occurred_at) == 0
        assert row.interests.shape == (catalog.pins.vocabulary.width,)
        assert row.numeric.shape == (2,)


@KINDS
def test_edges_alone_are_enough(tmp_path: Path, kind: str) -> None:
    tables = random_tables(kind)
    project = Project(ids=kind, data=DataSettings(edges=Source(path="unused")))
    edges = tables["edges"].select(["board_id", "pin_id"])
    catalog = build_catalog_in_memory(Tables(edges), project, tmp_path)
    assert catalog.graph.n_pins == len(set(tables["edges"]["pin_id"].to_pylist()))
    assert catalog.pins.topics.shape == (catalog.graph.n_pins, 1)
    assert not catalog.pins.topics.any()
    assert (catalog.pins.locale == -1).all()
    for name in ("pin_age_days", "pin_recent_share"):
        assert np.isnan(catalog.pins.static[:, catalog.feature_set.pin.index(name)]).all(), name
    assert (np.diff(catalog.graph.pin_degree[catalog.pins.popular(-1, 10**6)].astype(int)) <= 0).all()
    assert len(catalog.users) == 0
    assert not catalog.users.row(1).known


def test_a_cut_hides_all_that_came_later(tmp_path: Path) -> None:
    tables = random_tables()
    cut_us = START_US + YEAR_US // 2
    cut = datetime.fromtimestamp(cut_us / 1e6, UTC)
    topics = tuple(f"t{topic}" for topic in range(7))  # which of all pins are the most frequent ones is no matter here
    whole = build(tmp_path / "cut", "int64", tables, before=cut, topics=topics)
    early = {
        "edges": tables["edges"].filter(pa.compute.less(tables["edges"]["saved_at"], times_of([cut_us])[0])),
        "pins": tables["pins"].filter(pa.compute.less(tables["pins"]["created_at"], times_of([cut_us])[0])),
        "users": tables["users"],
        "events": tables["events"].filter(pa.compute.less(tables["events"]["occurred_at"], times_of([cut_us])[0])),
    }
    expected = build(tmp_path / "early", "int64", early, topics=topics)
    for folder in ("graph", "pins", "users"):
        for file in sorted((tmp_path / "early" / folder).iterdir()):
            assert file.read_bytes() == (tmp_path / "cut" / folder / file.name).read_bytes(), file.name
    assert whole.counts == expected.counts
    alone = int((whole.graph.pin_degree == 0).sum())
    assert whole.drops["pins"]["noted"] == {ON_NO_BOARD: alone, NOT_YET: 6}
    assert alone > 6  # some pins that were there had their first edge later
    assert 0 < whole.graph.n_edges < 1200


def test_of_the_past_a_pin_of_unknown_age_is_there_by_its_edges_alone(tmp_path: Path) -> None:
    tables = random_tables()
    tables["pins"] = tables["pins"].drop_columns(["created_at"])
    catalog = build(tmp_path, "int64", tables, before=datetime.fromtimestamp((START_US + YEAR_US) / 1e6, UTC))
    assert (catalog.graph.pin_degree > 0).all()
    assert catalog.drops["pins"]["noted"] == {NOT_YET: 12}


def test_a_project_without_pins_has_those_with_an_edge_as_before(tmp_path: Path) -> None:
    tables = random_tables()
    del tables["pins"]
    catalog = build(tmp_path, "int64", tables)
    assert (catalog.graph.pin_degree > 0).all()
    assert "pins" not in catalog.drops


def test_nothing_left_to_build_from_is_one_line(tmp_path: Path) -> None:
    tables = random_tables()
    tables["pins"] = tables["pins"].slice(0, 0)
    with pytest.raises(DataError, match=r"no edge is left .*2000 rows: pin_id is not among the pins"):
        build(tmp_path, "int64", tables)


def test_another_format_is_refused(tmp_path: Path) -> None:
    build(tmp_path, "int64", random_tables())
    facts = tmp_path / "catalog.json"
    facts.write_text(facts.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(BundleError, match="format 99 is not 1; build the graph again"):
        Catalog.open(tmp_path, "v")


def test_build_catalog_publishes_a_bundle_that_opens(tmp_path: Path) -> None:
    project = write_project(tmp_path, random_tables("string"), "string", FEATURES)
    store = BundleStore(project.home)
    version = build_catalog(project, store, in_memory=True)
    bundle = store.open("graph").require_schema(FeatureSet.of(FEATURES))
    catalog = Catalog.open(bundle.path, bundle.version)
    assert catalog.version == version == store.current("graph")
    assert bundle.meta["counts"] == catalog.counts
    assert bundle.meta["drops"]["edges"]["dropped"]["pin_id is not among the pins"] > 0
    assert (catalog.ids, catalog.actions) == ("string", project.actions)
    assert catalog.feature_set == FeatureSet.of(FEATURES)


def test_a_failed_build_leaves_no_bundle(tmp_path: Path) -> None:
    project = write_project(tmp_path, {**random_tables(), "pins": random_tables()["pins"].slice(0, 0)})
    store = BundleStore(project.home)
    with pytest.raises(DataError):
        build_catalog(project, store, in_memory=True)
    assert store.versions("graph") == []
    assert store.current("graph") is None


@pytest.mark.parametrize("victim", ["catalog.json", "pins/topics.npy", "users/names.json", "pins/vocabulary.json"])
def test_a_damaged_folder_is_one_line(tmp_path: Path, victim: str) -> None:
    build(tmp_path, "int64", random_tables())
    (tmp_path / victim).unlink()
    with pytest.raises(BundleError, match="build the graph again"):
        Catalog.open(tmp_path, "v")


def test_topics_keep_their_columns_when_the_graph_is_built_again() -> None:
    """A model reads topics by column, so a later build may only add columns at the end."""
    lists = pa.chunked_array([pa.array([["a"], ["a", "b"], ["c"]])])
    pins = pa.table({"topics": lists, "locale": pa.nulls(3, pa.string())})
    first = Vocabulary.of(pins, None, 8)
    assert first.topics == ("a", "b", "c")
    later = pins.set_column(0, "topics", pa.chunked_array([pa.array([["c"], ["c", "d"], ["b"]])]))
    assert Vocabulary.of(later, None, 8, first.topics).topics == ("a", "b", "c", "d")
    assert Vocabulary.of(later, None, 3, first.topics).topics == ("a", "b", "c")
