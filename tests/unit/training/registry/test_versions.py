"""What is told of stored versions: every kind, damaged ones too, with the figures of their own manifests."""

import json
from pathlib import Path

import pytest

from cluster.errors import BundleError
from cluster.store.bundles import BundleStore
from tests.worlds.bundles import KINDS, world_of_all_kinds
from training.registry.details import gain_shares, read_details
from training.registry.differences import Difference, differences
from training.registry.versions import find_version, headline, read_kind, read_kinds


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BundleStore:
    return world_of_all_kinds(tmp_path_factory.mktemp("world")).new_process().store


def test_every_kind_is_there_with_its_size_and_its_files(store: BundleStore) -> None:
    kinds = read_kinds(store)
    assert {kind.name for kind in kinds} == set(KINDS)
    assert kinds[0].name == "graph"
    for kind in kinds:
        (one,) = kind.versions
        assert (one.version, one.state) == (store.current(kind.name), "published")
        found = read_details(store, one)
        assert sum(found.files.values()) == one.bytes
        assert found.version.meta == store.open(kind.name).meta


def test_a_damaged_version_and_a_lost_pointer_take_no_other_along(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    for kind in ("full", "graph"):
        for _ in range(2):
            with store.write(kind, {}) as (folder, version):
                (folder / "data").write_text("x")
            (tmp_path / kind / "CURRENT").write_text(version)
    (tmp_path / "full" / version).mkdir(exist_ok=True)
    broken = store.versions("full")[0]
    (tmp_path / "full" / broken / "manifest.json").write_text("{")
    (tmp_path / "graph" / "CURRENT").write_text("../x")
    graph, full = read_kinds(store)
    assert "CURRENT" in graph.broken
    assert len(graph.versions) == 2
    assert {one.version: one.state == "damaged" for one in full.versions} == {
        one.version: one.version == broken for one in full.versions
    }


def test_a_version_is_found_by_how_it_begins(store: BundleStore) -> None:
    kind = read_kind(store, "full")
    version = kind.versions[0].version
    assert find_version(store, kind, None).version == find_version(store, kind, version[:12]).version == version
    with pytest.raises(BundleError, match=version):
        find_version(store, kind, "x")
    with pytest.raises(BundleError, match="there are graph"):
        read_kind(store, "lightweight/nobody")


def test_shares_of_gain_are_those_of_the_trees(store: BundleStore) -> None:
    import xgboost as xgb

    model = store.open("lightweight/homefeed").path / "model.ubj"
    shares = gain_shares(model)
    table = xgb.Booster(model_file=model).trees_to_dataframe()
    gains = table[table["Feature"] != "Leaf"].groupby("Feature")["Gain"].sum()
    assert shares == pytest.approx((gains / gains.sum()).to_dict())
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_curves_are_read_by_action_or_whole(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    rows = [{"epoch": e, "train_loss": [0.5 / e, 0.7], "validation_loss": [0.4, 0.6], "rate": 1 / e} for e in (1, 2)]
    with store.write("full", {"actions": ["save", "click"]}) as (folder, version):
        (folder / "history.json").write_text(json.dumps(rows))
    found = read_details(store, find_version(store, read_kind(store, "full"), version))
    assert {curve.name: curve.values for curve in found.curves} == {
        "train_loss, save": (0.5, 0.25),
        "train_loss, click": (0.7, 0.7),
        "validation_loss, save": (0.4, 0.4),
        "validation_loss, click": (0.6, 0.6),
        "rate": (1.0, 0.5),
    }


def test_differences_name_every_fact_that_changed() -> None:
    before = {"same": 1, "trees": {"depth": 3, "gone": True}, "actions": ["save"], "long": list(range(20))}
    after = {"same": 1, "trees": {"depth": 5}, "actions": ["save", "click"], "long": list(range(20)), "new": "x"}
    assert differences(before, after) == (
        Difference("trees.depth", 3, 5),
        Difference("actions", "save", "save, click"),
        Difference("new", None, "x"),
        Difference("trees.gone", True, None),
    )
    assert differences(before, before) == ()
    assert differences(before, after)[0].change == 2.0
    assert Difference("flag", False, True).change is None


@pytest.mark.parametrize("meta", [{}, {"counts": None}, {"metrics": {"orders": 3}}, {"metrics": None, "kept": [1]}])
def test_a_manifest_that_lacks_figures_has_none(meta: dict[str, object]) -> None:
    for kind in ("graph", "full", "lightweight/a", "quotas/a", "other"):
        assert headline(kind, meta) == {}
