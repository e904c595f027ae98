"""What `pinfunnel status` reads of a home: versions, freshness of the logs, and the disk."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apps.reports.home_status import age, read_status
from cluster.settings.project import Project
from tests.worlds.bundles import KINDS, world_of_all_kinds
from tests.worlds.logs import make_world

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_every_published_kind_is_there_with_its_age(tmp_path: Path) -> None:
    opened = world_of_all_kinds(tmp_path)
    store = opened.new_process().store
    found = read_status(opened.project)
    assert {one.kind: one.version for one in found.published} == {kind: store.current(kind) for kind in KINDS}
    for one in found.published:
        assert one.made is not None
        assert timedelta() <= datetime.now(UTC) - one.made < timedelta(hours=1)
        assert one.others == 0
    assert 0 < found.free < found.size


def test_the_newest_day_of_each_log_is_counted(tmp_path: Path) -> None:
    world = make_world(tmp_path, requests=12, n=30)
    serving, events = read_status(world.project).logs
    assert (serving.name, events.name) == ("serving", "events")
    assert serving.newest == world.logs.dates("serving")[-1]
    assert serving.days == len(world.logs.dates("serving"))
    assert 0 < serving.rows <= 24
    assert events.rows > 0
    assert serving.unreadable == events.unreadable == 0


def test_a_home_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    data = {"edges": {"path": "edges.parquet"}}
    found = read_status(Project.model_validate({"home": f"{tmp_path}/not/yet", "data": data}))
    assert found.published == ()
    assert [log.days for log in found.logs] == [0, 0]
    assert found.free > 0
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "now"), (1, "1 second"), (119, "1 minute"), (7_200, "2 hours"), (86_400 * 3 + 5, "3 days"), (-5, "now")],
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, told: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == told


def test_a_version_without_a_time_has_no_age() -> None:
    assert age(None, NOW) == "?"
