"""Real files through the contract: MovieLens 100K as edges, pins and users; the public Gowalla split as edges."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from cluster.catalog.build import build_catalog
from cluster.catalog.catalog import Catalog
from cluster.settings.project import DataSettings, FeatureSettings, Project, Source
from cluster.store.bundles import BundleStore
from cluster.validate.validation import validate


def test_movielens_is_valid_and_builds(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "ml-100k"
    sources = {
        "edges": ("ratings", {"board_id": "user_id", "pin_id": "item_id", "saved_at": "rated_at"}),
        "pins": ("items", {"pin_id": "item_id", "topics": "genres"}),
        "users": ("users", {}),
    }
    project = Project(
        home=str(tmp_path),
        data=DataSettings(
            **{
                name: Source(path=str(folder / f"{file}.parquet"), columns=columns)
                for name, (file, columns) in sources.items()
            }
        ),
        features=FeatureSettings(
            pin_numeric=("release_year",), user_numeric=("age",), user_categorical=("gender", "occupation")
        ),
    )
    report = validate(project)
    assert report.ok
    assert {name: table.used for name, table in report.tables.items()} == {"edges": 100_000, "pins": 1682, "users": 943}
    assert not any(f.kind == "dropped" for table in report.tables.values() for f in table.findings), report.text()
    store = BundleStore(project.home)
    version = build_catalog(project, store, in_memory=True)
    catalog = Catalog.open(store.open("graph").path, version)
    assert catalog.counts == {"pins": 1682, "boards": 943, "edges": 100_000, "users": 943}
    items = {row["item_id"]: row for row in pq.read_table(folder / "items.parquet").to_pylist()}
    star_wars = next(item for item, row in items.items() if row["title"].startswith("Star Wars"))
    index = int(catalog.graph.pin_ids.index_of([star_wars])[0])
    assert index in catalog.pins.popular(-1, 50)
    topics = {catalog.pins.vocabulary.topics[t] for t in np.flatnonzero(catalog.pins.topics[index])}
    assert topics == set(items[star_wars]["genres"])


def test_gowalla_needs_no_mapping(real_data: Path) -> None:
    source = Source(path=str(real_data / "gowalla" / "train.parquet"))
    report = validate(Project(data=DataSettings(edges=source)))
    assert report.ok
    assert (report.tables["edges"].rows, report.tables["edges"].used) == (810_128, 810_128)
