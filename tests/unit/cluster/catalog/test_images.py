"""Addresses of pins' pictures: from the pins input into the bundle, and only what a browser may fetch."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.project import open_project
from apps.web.pins import PinCards
from cluster.catalog.build import build_catalog
from cluster.catalog.images import PinImages
from cluster.data.cleaning import Tally, clean_pins, now_us
from cluster.errors import BundleError, ConfigError
from cluster.settings.attributes import _checked
from tests.worlds.toy import toy_project


def test_each_pin_has_its_own(tmp_path: Path) -> None:
    pins = pa.table({"image_url": ["https://a/1", None, "https://ä.example/ü.png"]})
    PinImages.build(tmp_path, pins, np.array([2, -1, 0, 1]))
    images = PinImages.open(tmp_path)
    assert images is not None
    images.check()
    assert [images.of(pin) for pin in range(-1, 5)] == [
        None, "https://ä.example/ü.png", None, "https://a/1", None, None
    ]  # fmt: skip


@pytest.mark.parametrize("column", [None, [None, None]])
def test_without_any_there_are_no_files(tmp_path: Path, column: list[None] | None) -> None:
    pins = pa.table({"pin_id": [1, 2]} | ({} if column is None else {"image_url": pa.array(column, pa.string())}))
    PinImages.build(tmp_path, pins, np.array([0, 1]))
    assert list(tmp_path.iterdir()) == []
    assert PinImages.open(tmp_path) is None


def test_damage_is_told(tmp_path: Path) -> None:
    PinImages.build(tmp_path, pa.table({"image_url": ["https://a/1"]}), np.array([0]))
    np.save(tmp_path / "image_offsets.npy", np.array([0, 99], np.int64))
    opened = PinImages.open(tmp_path)
    assert opened is not None
    with pytest.raises((BundleError, ValueError)):
        opened.check()
    (tmp_path / "image_bytes.npy").write_bytes(b"x")
    with pytest.raises(BundleError, match="build the graph again"):
        PinImages.open(tmp_path)


def test_what_is_no_https_address_counts_as_missing() -> None:
    good = "https://images.example/1.jpg?w=2"
    bad = ["http://a/1", "javascript:alert(1)", "data:image/png;base64,AA", "https://a/'x", "https://a/ b", "", "x"]
    bad.append("https://a/" + "x" * 2048)
    table = pa.table({"pin_id": range(len(bad) + 2), "image_url": pa.array([good, None, *bad])})
    tally = Tally()
    cleaned = clean_pins(table, now_us(), tally)
    assert cleaned["image_url"].to_pylist() == [good] + [None] * (len(bad) + 1)
    assert tally.as_dict()["changed"] == {"image_url is no https address of at most 2048 bytes (now missing)": len(bad)}


def test_a_build_keeps_them_and_features_do_not_know(tmp_path: Path) -> None:
    path = toy_project(tmp_path)
    file = tmp_path / "pins" / "part-0.parquet"
    pins = pq.read_table(file)
    urls = [f"https://images.example/{pin}.jpg" for pin in pins["pin_id"].to_pylist()]
    opened = open_project(path)
    process = opened.new_process()
    build_catalog(opened.project, process.store, in_memory=True)
    without = process.catalogs.current
    pq.write_table(pins.append_column("image_url", pa.array(urls)), file)
    process = opened.new_process()
    build_catalog(opened.project, process.store, in_memory=True)
    catalog = process.catalogs.current
    assert catalog.pins.images is not None
    ids = catalog.graph.pin_ids.ids_of(np.arange(catalog.graph.n_pins))
    for pin in (0, len(ids) - 1):
        assert catalog.pins.images.of(pin) == f"https://images.example/{ids[pin]}.jpg"
    assert PinCards(catalog).of(0).image == catalog.pins.images.of(0)
    assert PinCards(without).of(0).image is None
    assert without.pins.images is None
    assert without.feature_set.schema_hash == catalog.feature_set.schema_hash


def test_nothing_can_be_filtered_by_it() -> None:
    with pytest.raises((ConfigError, ValueError), match="no attribute"):
        _checked({"image_url": "category"})
