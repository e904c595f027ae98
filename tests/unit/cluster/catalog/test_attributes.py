"""Attributes in a graph bundle: what the pins input says, through builds, merges and bundles from before."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cluster.attributes.filters import Between, Filter, HasValue, TextAmong
from cluster.catalog.build import build_catalog
from cluster.catalog.catalog import Catalog
from cluster.catalog.merge import merge_edges
from cluster.data.schema import TIMESTAMP
from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from tests.worlds.inputs import FEATURES, ids_of, random_tables, write_project

DECLARED = {"price": "number", "shop": "category", "tags": "list", "ends": "time"}
ASKED: list[tuple[Filter, Callable[[dict[str, Any]], bool]]] = [
    (Between("price", high=0.5), lambda pin: pin["price"] is not None and pin["price"] <= 0.5),
    (TextAmong("shop", ("a",)), lambda pin: pin["shop"] == "a"),
    (TextAmong("tags", ("g1", "g2")), lambda pin: bool({"g1", "g2"} & set(pin["tags"] or ()))),
    (HasValue("ends"), lambda pin: pin["ends"] is not None),
    (TextAmong("topics", ("t5",)), lambda pin: "t5" in (pin["topics"] or ())),
    (TextAmong("locale", ("de",)), lambda pin: pin["locale"] == "de"),
    (Between("created_at", high=1.59e15), lambda pin: pin["created_at"].timestamp() <= 1.59e9),
]


def tables_with_tags(kind: str) -> dict[str, pa.Table]:
    tables = random_tables(kind)
    pins = tables["pins"]
    tags = pa.array([[f"g{row % 4}", f"g{row % 6}"] if row % 3 else None for row in range(len(pins))])
    price = pa.array(np.round(np.random.default_rng(3).random(len(pins)), 2))  # float64: 0.1 is no float32
    pins = pins.set_column(pins.column_names.index("price"), "price", price)
    moments = pins["created_at"].to_pylist()
    ends = pa.array([moment if row % 4 else None for row, moment in enumerate(moments)], TIMESTAMP)
    tables["pins"] = pins.append_column("tags", tags).append_column("ends", ends)
    return tables


def opened(store: BundleStore) -> Catalog:
    bundle = store.open("graph")
    return Catalog.open(bundle.path, bundle.version)


def built(folder: Path, tables: dict[str, pa.Table], kind: str) -> tuple[Project, BundleStore]:
    project = write_project(folder, tables, kind, FEATURES)
    project = Project.model_validate({**project.model_dump(), "attributes": DECLARED})
    store = BundleStore(project.home)
    build_catalog(project, store, in_memory=True)
    return project, store


def matched_ids(catalog: Catalog, asked: Filter) -> set[int | str]:
    return set(catalog.graph.pin_ids.ids_of(np.flatnonzero(catalog.attributes.matching(asked))).tolist())


def assert_says_the_input(catalog: Catalog, pins: pa.Table) -> None:
    there = set(catalog.graph.pin_ids.ids_of(np.arange(catalog.graph.n_pins)).tolist())
    rows = [row for row in pins.to_pylist() if row["pin_id"] in there]
    for asked, holds in ASKED:
        expected = {row["pin_id"] for row in rows if holds(row)}
        assert 0 < len(expected) < len(rows), asked
        assert matched_ids(catalog, asked) == expected, asked


@pytest.mark.parametrize("kind", ["int64", "string"])
def test_a_build_and_a_merge_keep_what_the_pins_input_says(tmp_path: Path, kind: str) -> None:
    tables = tables_with_tags(kind)
    new = ids_of([*range(0, 300, 9), 302], kind)  # the last one is on no board even then
    late = pc.is_in(tables["edges"]["pin_id"], new)
    day = tmp_path / "day.parquet"
    pq.write_table(tables["edges"].filter(late), day)
    early = {
        "edges": tables["edges"].filter(pc.invert(late)),
        "pins": tables["pins"].filter(pc.invert(pc.is_in(tables["pins"]["pin_id"], new))),
    }
    project, store = built(tmp_path, {**tables, **early}, kind)
    base = opened(store)
    assert_says_the_input(base, tables["pins"])
    write_project(tmp_path, tables, kind, FEATURES)  # the night's pins
    merge_edges(project, store, str(day))
    merged = opened(store)
    assert merged.graph.n_pins > base.graph.n_pins
    assert_says_the_input(merged, tables["pins"])


def test_attributes_are_no_features(tmp_path: Path) -> None:
    tables = tables_with_tags("int64")
    project, store = built(tmp_path / "with", tables, "int64")
    plain = write_project(tmp_path / "without", tables, "int64", FEATURES)
    without = BundleStore(plain.home)
    build_catalog(plain, without, in_memory=True)
    assert store.open("graph").meta["schema_hash"] == without.open("graph").meta["schema_hash"]
    assert FeatureSet.of(project.features).schema_hash == FeatureSet.of(plain.features).schema_hash
    np.testing.assert_array_equal(opened(store).pins.static, opened(without).pins.static)


def test_a_number_beyond_float32_is_no_feature_and_still_an_attribute(tmp_path: Path) -> None:
    tables = tables_with_tags("int64")
    pins = tables["pins"]
    price = np.array(pins["price"].to_pylist())
    price[:50] = 1e300
    tables["pins"] = pins.set_column(pins.column_names.index("price"), "price", pa.array(price))
    _, store = built(tmp_path, tables, "int64")
    catalog = opened(store)
    dear = catalog.attributes.matching(Between("price", low=1e299))
    assert 0 < dear.sum() <= 50
    column = catalog.pins.static[:, FeatureSet.of(FEATURES).pin.index("pin_price")]
    assert np.isnan(column[dear]).all()
    assert not np.isinf(column).any()


def test_a_bundle_from_before_attributes_opens_and_says_what_to_do(tmp_path: Path) -> None:
    _, store = built(tmp_path, tables_with_tags("int64"), "int64")
    path = store.open("graph").path
    shutil.rmtree(path / "attributes")
    catalog = Catalog.open(path, "old")
    with pytest.raises(BundleError, match=r"no attribute 'price' .*build the graph again"):
        catalog.attributes.matching(Between("price", high=1.0))


def test_damage_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    _, store = built(tmp_path, tables_with_tags("int64"), "int64")
    path = store.open("graph").path
    for text in ("{", json.dumps({"numbers": ["price"], "texts": ["ends"]}), "[]"):
        (path / "attributes" / "attributes.json").write_text(text)
        with pytest.raises(BundleError, match="build the graph again"):
            Catalog.open(path, "damaged")
