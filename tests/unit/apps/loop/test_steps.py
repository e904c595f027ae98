"""What a round does follows from the settings, the clients, and what has arrived."""

from pathlib import Path

import pytest

from apps.loop.steps import arrived, full_left_out, steps_of
from cluster.settings.clients import AllotmentSettings, Client
from cluster.settings.loop import LoopSettings
from cluster.store.bundles import BundleStore

PLAIN = {"homefeed": Client(name="homefeed")}
LEARNED = {**PLAIN, "ads": Client(name="ads", allotment=AllotmentSettings(learned=True))}


def names(settings: LoopSettings, *, clients=None, files=(), has_graph=True, has_fresh=False):  # type: ignore[no-untyped-def]
    return [step.name for step in steps_of(settings, clients or PLAIN, files, has_graph, has_fresh)]


ALWAYS = ["compact-logs", "train lightweight --all", "train full", "models prune --keep 5"]


def test_a_quiet_night_compacts_trains_and_prunes() -> None:
    assert names(LoopSettings()) == ALWAYS


def test_new_edges_are_added_before_and_each_by_itself() -> None:
    assert names(LoopSettings(), files=["a.parquet", "b.parquet"], has_fresh=True) == [
        "add-edges --edges a.parquet",
        "add-edges --edges b.parquet",
        *ALWAYS,
    ]
    assert names(LoopSettings(), has_fresh=True) == ["add-edges", *ALWAYS]


def test_the_first_round_builds_and_so_does_every_one_where_it_is_wanted() -> None:
    assert names(LoopSettings(), has_graph=False) == ["build-graph", *ALWAYS]
    assert names(LoopSettings(graph="build"), files=["a"], has_fresh=True) == ["build-graph", *ALWAYS]
    assert names(LoopSettings(graph="leave"), files=["a"], has_fresh=True) == ALWAYS


def test_what_is_not_wanted_is_left_out_and_what_is_learned_is_learned_again() -> None:
    assert names(LoopSettings(full=False, keep_versions=2), clients=LEARNED) == [
        "compact-logs",
        "train lightweight --all",
        "train quotas --client ads",
        "models prune --keep 2",
    ]


def test_files_arrive_by_name_and_once(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.parquet", "notes.txt", "c.parquet.part"):
        (tmp_path / name).touch()
    both = [f"{tmp_path}/a.parquet", f"{tmp_path}/b.parquet"]
    assert arrived(str(tmp_path), set()) == both
    assert arrived(str(tmp_path), {both[0]}) == both[1:]
    assert arrived(None, set()) == arrived(f"{tmp_path}/nowhere", set()) == []


def test_without_torch_a_site_that_never_had_a_full_ranker_trains_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BundleStore(tmp_path)
    assert full_left_out(True, store) == ""
    monkeypatch.setattr("apps.loop.steps.torch_there", lambda: False)
    assert "pip install 'pinfunnel[full]'" in full_left_out(True, store)
    assert full_left_out(False, store) == "", "nobody wants one"
    with store.write("full", {}):
        pass
    assert full_left_out(True, store) == "", "its step fails, and tells"
