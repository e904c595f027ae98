"""The schema hash follows names, order, sides, types and versions, never prose; and what 0.1 wrote stays readable."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.errors import BundleError, ConfigError
from cluster.features.assemble import SIDES, FeatureSet
from cluster.features.version_0_1 import SENTENCES
from cluster.settings.project import FeatureSettings
from cluster.store.bundles import BundleStore
from cluster.store.log_parts import read_part
from cluster.store.logs import HASH_KEY
from tests.worlds.logs import make_world

OWN = FeatureSettings(
    pin_numeric=("price",),
    pin_categorical=("rating",),
    user_numeric=("age",),
    user_categorical=("plan",),
    pin_vector_width=5,
)
WRITTEN_BY_0_1 = {
    "bbe7362edcbdb4fa": FeatureSettings(),
    "cacc0934002874b7": FeatureSettings(pin_vector_width=64),
    "15d2d9aa5502dc72": OWN,
}


def of_0_1(settings: FeatureSettings) -> FeatureSet:
    """The features that 0.1 had: those of now, without what was added since and before versions were raised."""
    features = FeatureSet.of(settings)
    added = {f.name for side in SIDES for f in side} - SENTENCES.keys()
    added |= {f"cross_{name}_apart" for name in settings.pin_numeric}
    kept = tuple(replace(f, version=1) for f in features.features if f.name not in added)
    return FeatureSet(kept, features.vector_width)


PLAIN = of_0_1(FeatureSettings())


def changed(features: FeatureSet, which: str, /, **changes: object) -> FeatureSet:
    """`features` with the one named `which` changed."""
    listed = tuple(replace(f, **changes) if f.name == which else f for f in features.features)
    return FeatureSet(listed, features.vector_width)


@pytest.mark.parametrize(("written", "settings"), WRITTEN_BY_0_1.items())
def test_what_0_1_wrote_is_accepted_for_the_same_features_only(written: str, settings: FeatureSettings) -> None:
    features = of_0_1(settings)
    assert features.accepts(written)
    assert features.accepts(features.schema_hash)
    assert features.schema_hash != written
    for other in WRITTEN_BY_0_1.values():
        assert of_0_1(other).accepts(written) == (other is settings)
    raised = changed(features, "graph_lift", version=2)
    assert not raised.accepts(written)
    assert not raised.accepts(features.schema_hash)
    assert not features.accepts(None)
    assert not features.accepts("")


@pytest.mark.parametrize(
    "change", [{"name": "graph_loft"}, {"side": "cross"}, {"dtype": "categorical"}, {"version": 2}]
)
def test_the_hash_follows_name_side_type_and_version(change: dict) -> None:
    assert changed(PLAIN, "graph_lift", **change).schema_hash != PLAIN.schema_hash


def test_the_hash_follows_the_order_and_the_width_of_vectors() -> None:
    assert FeatureSet(PLAIN.features[::-1]).schema_hash != PLAIN.schema_hash
    hashes = {FeatureSet.of(FeatureSettings(pin_vector_width=width)).schema_hash for width in (0, 5, 6)}
    assert len(hashes) == 3


def test_the_hash_knows_no_prose() -> None:
    reworded = changed(PLAIN, "graph_lift", about="the same in other words.")
    assert reworded.schema_hash == PLAIN.schema_hash
    assert reworded.accepts("bbe7362edcbdb4fa")


def test_a_bundle_of_0_1_opens(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    with store.write("lightweight/homefeed", {"schema_hash": "bbe7362edcbdb4fa"}) as (folder, _):
        (folder / "model.ubj").write_bytes(b"x")
    bundle = store.open("lightweight/homefeed")
    assert bundle.require_schema(PLAIN) is bundle
    with pytest.raises(BundleError, match="made for feature schema bbe7362edcbdb4fa"):
        bundle.require_schema(FeatureSet.of(OWN))


def test_logs_of_0_1_are_read_beside_new_ones(tmp_path: Path) -> None:
    logs = make_world(tmp_path, names=("homefeed",), requests=30, n=20, days=3).logs
    carried = ["bbe7362edcbdb4fa", PLAIN.schema_hash, "another"]
    for path, schema_hash in zip(logs.serving_files().paths, carried, strict=True):
        table = read_part(path)
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, HASH_KEY: schema_hash.encode()}), path)
    files = logs.serving_files()
    assert [f.schema_hash for f in files.files] == carried
    assert [f.schema_hash for f in files.made_with(PLAIN).files] == carried[:2]


@pytest.mark.parametrize(
    "settings",
    [
        FeatureSettings(user_numeric=("actions",)),
        FeatureSettings(pin_categorical=("degree",)),
        FeatureSettings(pin_numeric=("price",), pin_categorical=("price",)),
    ],
)
def test_two_features_of_one_name_are_refused(settings: FeatureSettings) -> None:
    with pytest.raises(ConfigError, match=r"two of them are named .*: rename the column in pinfunnel\.yaml"):
        FeatureSet.of(settings)
