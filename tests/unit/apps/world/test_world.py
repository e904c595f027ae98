"""The synthetic world: seeded, to the contract, and observable columns that reveal only part of the truth."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from apps.world.latent import LOCALES, NO_LOCALE, TOPICS
from apps.world.world import DAY_ZERO, World
from cluster.data.schema import edges_columns, events_columns, pins_columns, users_columns
from cluster.settings.project import DEFAULT_ACTIONS, Project
from tests.worlds.toy import toy_project, toy_world


@pytest.fixture(scope="module")
def medium() -> World:
    return World.make(3, pins=4000, boards=800, users=150)


def test_same_seed_same_files_other_seed_other_files(tmp_path: Path) -> None:
    small = {"pins": 300, "boards": 60, "users": 20}
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        World.make(seed, **small).write(tmp_path / name)
    for table in ("edges", "pins", "users", "events"):
        a, b, c = (pq.read_table(tmp_path / name / table) for name in "abc")
        assert a.equals(b)
        assert not a.equals(c)


@pytest.mark.parametrize("ids", ["int64", "string"])
def test_files_follow_the_contract(tmp_path: Path, ids: str) -> None:
    world = World.make(1, pins=300, boards=60, users=20, ids=ids)  # type: ignore[arg-type]
    project = Project.load(world.write(tmp_path, {"attribution_hours": 5.0}))
    assert project.ids == ids
    assert project.attribution_hours == 5.0
    wanted = {
        "edges": edges_columns(ids),
        "pins": pins_columns(ids, project.features),
        "users": users_columns(ids, project.features),
        "events": events_columns(ids),
    }
    for name, columns in wanted.items():
        table = pq.read_table(getattr(project.data, name).path)
        assert set(table.column_names) <= {c.name for c in columns}
        for column in columns:
            if column.required:
                assert table.schema.field(column.name).type == column.type
                assert column.nullable or table[column.name].null_count == 0
    events = pq.read_table(project.data.events.path) if project.data.events else None
    assert events is not None
    assert set(events["action"].to_pylist()) <= set(DEFAULT_ACTIONS)
    assert len(set(events["event_id"].to_pylist())) == len(events)
    assert events["occurred_at"].to_pylist() == sorted(events["occurred_at"].to_pylist())


def test_everything_lies_before_day_zero_and_after_its_pin(tmp_path: Path) -> None:
    world = toy_world()
    created = world.latent.pins.created
    assert (created < 0).all()
    for day, pin in ((world.edges.day, world.edges.pin), (world.history.day, world.history.pin)):
        assert (day <= 0).all()
        assert (day >= created[pin]).all()
    toy_project(tmp_path)
    assert max(pq.read_table(tmp_path / "edges")["saved_at"].to_pylist()) <= DAY_ZERO


def test_a_board_holds_a_pin_once_and_mostly_pins_of_its_topics(medium: World) -> None:
    pairs = medium.edges.board.astype(np.int64) * len(medium.pin_ids) + medium.edges.pin
    assert len(np.unique(pairs)) == len(pairs)
    boards, pins = medium.latent.boards, medium.latent.pins
    of = medium.edges.board
    own = pins.topics[medium.edges.pin, boards.main[of]] > 0
    second = (boards.second[of] >= 0) & (pins.topics[medium.edges.pin, boards.second[of]] > 0)
    assert 0.85 < (own | second).mean() < 0.99


def test_saves_are_heavy_tailed_and_follow_quality_weakly(medium: World) -> None:
    degree = np.bincount(medium.edges.pin, minlength=len(medium.pin_ids))
    top = np.sort(degree)[::-1]
    assert top[: len(top) // 100].sum() > 0.05 * top.sum()
    assert 0.1 < np.corrcoef(np.log1p(degree), medium.latent.pins.quality)[0, 1] < 0.5


def test_files_reveal_quality_topics_and_interests_only_partly(medium: World, tmp_path: Path) -> None:
    medium.write(tmp_path)
    pins, users = pq.read_table(tmp_path / "pins"), pq.read_table(tmp_path / "users")
    image = np.array(pins["image_quality"].to_pylist(), np.float64)  # None becomes NaN
    known = ~np.isnan(image)
    assert 0.05 < 1 - known.mean() < 0.2
    assert 0.4 < np.corrcoef(image[known], medium.latent.pins.quality[known])[0, 1] < 0.75
    first = [row[0] if row else None for row in pins["topics"].to_pylist()]
    right = np.mean([name == TOPICS[main] for name, main in zip(first, medium.latent.pins.main, strict=True)])
    assert 0.8 < right < 0.95
    declared = sum(len(row) for row in users["interests"].to_pylist())
    assert 0.4 < declared / (medium.latent.users.interests > 0).sum() < 0.8
    locale = [None if code == NO_LOCALE else LOCALES[code] for code in medium.latent.pins.locale]
    assert pins["locale"].to_pylist() == locale


def test_fresh_users_have_no_history() -> None:
    world = toy_world()
    assert world.latent.users.fresh.any()
    assert not world.latent.users.fresh[np.unique(world.history.user)].any()
