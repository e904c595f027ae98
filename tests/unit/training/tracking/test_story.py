"""What is told of a version: what was chosen, what was measured, how it came there."""

from pathlib import Path

from cluster.store.bundles import BundleStore
from training.registry.details import Curve, Details
from training.registry.versions import Version, find_version, read_kind
from training.tracking.story import LONGEST, plain, story_of

META = {
    "strategy": "funnel_blended",
    "trees": {"settings": {"max_depth": 3, "learning_rate": 0.05}, "why": None},
    "actions": ["save", "click"],
    "note": "x" * (2 * LONGEST),
    "metrics": {
        "requests": 56,
        "finite": True,
        "orders": {"lightweight": {"ndcg@10": {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 42, "nothing": None}}},
        "nan": float("nan"),
    },
    "gate": {"publish": True, "reason": "published: NDCG +0.1"},
}


def details(meta: object = META) -> Details:
    version = Version("lightweight/ads", "20260101T000000-abc123", "published", "", None, 10, meta)  # type: ignore[arg-type]
    return Details(version, (Curve("loss on later requests", "rounds", (0.7, 0.6)),), {"graph_rank": 0.9}, {})


def test_a_manifest_is_told_in_parameters_and_figures() -> None:
    story = story_of(details())
    assert story.name == "lightweight/ads 20260101T000000-abc123"
    assert story.params["trees.settings.max_depth"] == "3"
    assert story.params["trees.settings.learning_rate"] == "0.05"
    assert story.params["actions"] == "save, click"
    assert len(story.params["note"]) == LONGEST
    assert not {name for name in story.params if name.startswith(("metrics", "gate")) or name == "trees.why"}
    assert story.figures == {
        "requests": 56.0,
        "finite": 1.0,
        "orders/lightweight/ndcg_at_10": 0.5,
        "orders/lightweight/ndcg_at_10/low": 0.4,
        "orders/lightweight/ndcg_at_10/high": 0.6,
        "orders/lightweight/ndcg_at_10/n": 42.0,
        "share_of_gain/graph_rank": 0.9,
        "ndcg_at_10": 0.5,
    }
    assert story.steps == {"rounds/loss on later requests": (0.7, 0.6)}
    assert story.tags["pinfunnel.gate"] == "published: NDCG +0.1"


def test_a_version_without_figures_is_told_too(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    with store.write("full", {}) as (folder, version):
        (folder / "weights.pt").write_bytes(b"")
    found = find_version(store, read_kind(store, "full"), version)
    story = story_of(Details(found, (), {}, {}))
    assert (story.params, story.figures, story.steps) == ({}, {}, {})


def test_names_are_ones_that_trackers_take() -> None:
    assert plain("ndcg@10") == "ndcg_at_10"
    assert plain("a:b(c)/d-e f.g") == "a_b_c_/d-e f.g"
