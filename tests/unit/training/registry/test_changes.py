"""What a person decides about versions holds: for pointers, fallbacks, later training, on disks and in buckets."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from cluster.store.standing import STANDING, Standing
from training.judge.gate import Decision
from training.judge.hold import unless_held
from training.registry.changes import hold, publish_version, release, roll_back
from training.registry.versions import read_kind, read_kinds

KIND = "lightweight/homefeed"
PROJECT = Project.model_validate({"data": {"edges": {"path": "none"}}})
HASH = FeatureSet.of(PROJECT.features).schema_hash


@dataclass
class Stored:
    store: BundleStore

    def write(self, passed: bool = True, schema: str = HASH, ids: str = "int64") -> str:
        gate = {"publish": passed, "reason": f"{'published' if passed else 'refused'}: NDCG"}
        with self.store.write(KIND, {"schema_hash": schema, "ids": ids, "gate": gate}, passed) as (folder, version):
            (folder / "model.txt").write_text(version)
        return version

    def states(self) -> dict[str, str]:
        return {one.version: one.state for one in read_kind(self.store, KIND).versions}


@pytest.fixture(params=["local", "objects"])
def stored(request: pytest.FixtureRequest, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    moments = (datetime(2026, 1, 1, minute=minute, tzinfo=UTC) for minute in range(60))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            return cls.fromtimestamp(next(moments).timestamp(), UTC)

    monkeypatch.setattr("cluster.store.bundles.datetime", Clock)  # so that versions are in order
    return Stored(BundleStore(tmp_path / "root" if request.param == "local" else s3, cache=tmp_path / "cache"))


def test_going_back_and_on_again(stored: Stored) -> None:
    first, refused, second, third = (stored.write(passed) for passed in (True, False, True, True))
    done = roll_back(PROJECT, stored.store, KIND, why="saves fell")
    assert (done.before, done.now, stored.store.current(KIND)) == (third, second, second)
    assert stored.states() == {first: "passed", refused: "refused", second: "published", third: "taken back"}
    assert "saves fell" in read_kind(stored.store, KIND).versions[0].reason
    assert roll_back(PROJECT, stored.store, KIND).now == first  # past the refused one
    with pytest.raises(BundleError, match="no version before"):
        roll_back(PROJECT, stored.store, KIND)
    fourth = stored.write()  # a training goes on from there
    assert stored.store.current(KIND) == fourth
    assert roll_back(PROJECT, stored.store, KIND).now == first, "those taken back are passed over"
    with pytest.raises(BundleError, match="--anyway"):
        publish_version(PROJECT, stored.store, KIND, third)
    publish_version(PROJECT, stored.store, KIND, third, anyway=True)
    assert stored.states()[third] == "published"
    assert publish_version(PROJECT, stored.store, KIND, first).before == third
    assert stored.states()[third] == "passed", "it is trusted again"


def test_what_was_taken_back_is_no_fallback_for_a_lost_pointer(stored: Stored) -> None:
    first, second = stored.write(), stored.write()
    roll_back(PROJECT, stored.store, KIND)
    assert stored.store.publishable(KIND) == [first]
    with stored.store.rewrite(KIND, second):
        pass
    assert stored.store.publishable(KIND) == [first], "nor when it was rewritten without some user"


def test_a_held_kind_stores_and_does_not_publish(stored: Stored) -> None:
    first = stored.write()
    passed = Decision(True, "published: NDCG +0.1")
    assert unless_held(passed, stored.store, KIND) == passed
    hold(stored.store, KIND, "a sale")
    told = unless_held(passed, stored.store, KIND)
    assert not told.publish
    for words in ("held since", "a sale", "NDCG +0.1"):
        assert words in told.reason
    refused = Decision(False, "refused: worse")
    assert unless_held(refused, stored.store, KIND) == refused
    second = stored.write()
    assert stored.store.current(KIND) == first
    assert stored.states()[second] == "not published"
    assert publish_version(PROJECT, stored.store, KIND, second, anyway=True).now == second
    release(stored.store, KIND)
    with pytest.raises(BundleError, match="not held"):
        release(stored.store, KIND)
    third = stored.write()
    assert stored.store.current(KIND) == third


@pytest.mark.parametrize("change", [{"schema": "other"}, {"ids": "string"}])
def test_a_version_that_does_not_fit_the_project_is_passed_over(stored: Stored, change: dict[str, str]) -> None:
    first, other, third = stored.write(), stored.write(**change), stored.write()  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="was made for"):
        publish_version(PROJECT, stored.store, KIND, other)
    assert stored.store.current(KIND) == third
    assert roll_back(PROJECT, stored.store, KIND).now == first


def test_nothing_changes_for_a_wrong_name(stored: Stored) -> None:
    first, second = stored.write(), stored.write()
    wrong: list[Callable[[], object]] = [
        lambda: publish_version(PROJECT, stored.store, KIND, "1999"),
        lambda: publish_version(PROJECT, stored.store, KIND, "2026"),  # begins both
        lambda: publish_version(PROJECT, stored.store, KIND, second),
        lambda: publish_version(PROJECT, stored.store, "full", first),
        lambda: roll_back(PROJECT, stored.store, KIND, to=second),
        lambda: roll_back(PROJECT, stored.store, KIND, to="1999"),
        lambda: hold(stored.store, "full"),
    ]
    for one in wrong:
        with pytest.raises(BundleError):
            one()
    assert (stored.store.current(KIND), stored.store.standings.of(KIND)) == (second, Standing())


@pytest.mark.parametrize("text", ["{", "[]", '{"held": 3, "taken_back": {}}', '{"taken_back": {}}', '{"held": null}'])
def test_a_damaged_note_holds_and_is_told(tmp_path: Path, text: str) -> None:
    stored = Stored(BundleStore(tmp_path))
    first = stored.write()
    (tmp_path / KIND / STANDING).write_text(text)
    told = unless_held(Decision(True, "published: fine"), stored.store, KIND)
    assert not told.publish
    assert STANDING in told.reason
    stored.write()
    assert stored.store.current(KIND) == first
    assert len(stored.store.publishable(KIND)) == 1, "what passed before serves on"
    assert STANDING in read_kinds(stored.store)[0].broken
    with pytest.raises(BundleError, match=STANDING):
        hold(stored.store, KIND)


def test_decisions_made_at_the_same_time_are_all_kept(stored: Stored) -> None:
    stored.write()
    standings = stored.store.standings
    standings.change(KIND, lambda standing: standing.taking_back("a", ""))
    meanwhile = iter([lambda: standings.change(KIND, lambda standing: standing.taking_back("b", ""))])

    def change(standing: Standing) -> Standing:
        for other in meanwhile:
            other()
        return standing.taking_back("c", "")

    standings.change(KIND, change)
    assert set(standings.of(KIND).taken_back) == {"a", "b", "c"}
