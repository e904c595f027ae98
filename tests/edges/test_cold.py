"""A shop whose newest pins are on no board, and users without an action: sources that need neither answer them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from apps.project import Opened, open_project
from cluster.attributes.reading import read_filter
from cluster.catalog.build import build_catalog
from cluster.catalog.merge import merge_edges
from cluster.data.schema import TIMESTAMP
from cluster.settings.attributes import attribute_kinds
from cluster.settings.clients import Client
from serving.deploy.process import Process
from serving.request.answer import Answer
from tests.worlds.funnel import NOW, ask, publish_full, publish_lightweight

PINS, COLD_FROM, LOCAL = 60, 40, 10
"""Pins from COLD_FROM on are on no board; even ones are of the topic garden, odd ones of the kitchen.

These and the first LOCAL ones are of the locale de, the others of us.
"""
DAY = 86_400 * 10**6
COLD = set(range(COLD_FROM, PINS))
COLD_GARDEN = {pin for pin in COLD if pin % 2 == 0}
GARDENER, DECLARED, NOBODY = 1, 2, 3
"""A user who saved garden pins, one who did nothing and declared the topic, and one of whom nothing is known."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return built_shop(tmp_path_factory.mktemp("shop"))


def built_shop(folder: Path) -> Opened:
    """The shop as a project in `folder`, its graph published."""
    pins = np.arange(PINS)
    warm = np.arange(COLD_FROM)
    created = NOW - np.where(pins < COLD_FROM, 300 * DAY, DAY + pins * DAY // 100)
    board = np.concatenate([warm % 4, warm % 2 + 4])
    tables = {
        "edges": pa.table({"board_id": board, "pin_id": np.tile(warm, 2), "saved_at": _times(NOW - 200 * DAY + board)}),
        "pins": pa.table(
            {
                "pin_id": pins,
                "topics": [[("garden", "kitchen")[pin % 2]] for pin in range(PINS)],
                "created_at": _times(created),
                "locale": ["us" if LOCAL <= pin < COLD_FROM else "de" for pin in range(PINS)],
                "price": pins.astype(float),
            }
        ),
        "users": pa.table({"user_id": [DECLARED], "interests": [["garden"]]}),
        "events": pa.table(
            {
                "user_id": np.full(3, GARDENER),
                "pin_id": [0, 2, COLD_FROM],  # even a pin on no board can be acted on
                "action": ["save"] * 3,
                "occurred_at": _times(NOW - np.arange(1, 4) * DAY),
            }
        ),
    }
    for name, table in tables.items():
        (folder / name).mkdir()
        pq.write_table(table, folder / name / "all.parquet")
    settings = {"data": {name: {"path": name} for name in tables}, "attributes": {"price": "number"}}
    (folder / "pinfunnel.yaml").write_text(yaml.safe_dump(settings))
    opened = open_project(folder / "pinfunnel.yaml")
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    return opened


def _times(us: np.ndarray) -> pa.Array:
    return pa.array(us.astype(np.int64)).cast(TIMESTAMP)


def process_of(shop: Opened, *sources: str, answer: int = 25) -> Process:
    """A server of one client with these sources alone, 30 candidates each, and answers of so many pins."""
    client = shop.clients["homefeed"].model_dump()
    changed = {"sources": dict.fromkeys(sources, 30), "sizes": {**client["sizes"], "answer": answer}}
    return Process(shop.project, {"homefeed": Client.model_validate({**client, **changed})})


def answered(process: Process, **request: Any) -> tuple[Answer, list[int]]:
    answer = process.funnel.recommend_now(ask(**request))
    assert all("there are no more that may be shown" in fault for fault in answer.faults), answer.faults
    return answer, answer.candidates.pin_ids[answer.shown].tolist()


def found_by(answer: Answer, source: str) -> set[int]:
    column = answer.candidates.sources.names.index(source)
    return set(answer.candidates.pin_ids[answer.candidates.sources.rank[:, column] >= 0].tolist())


def test_the_bundle_has_every_pin_of_the_input(shop: Opened) -> None:
    catalog = shop.new_process().catalogs.current
    index = catalog.graph.pin_ids.index_of(np.arange(PINS))
    assert (index >= 0).all()
    assert (catalog.graph.pin_degree[index] > 0).tolist() == [pin < COLD_FROM for pin in range(PINS)]
    static = dict(zip(catalog.feature_set.pin, np.asarray(catalog.pins.static)[index[COLD_FROM]].tolist(), strict=True))
    assert static["pin_degree"] == 0.0
    assert static["pin_actions"] == pytest.approx(np.log(2.0))
    assert not np.isinf(catalog.pins.static).any()
    assert COLD_FROM in catalog.users.row(GARDENER).pin_ids.tolist()


@pytest.mark.parametrize("user", [GARDENER, DECLARED, NOBODY])
@pytest.mark.parametrize("source", ["content", "recent", "popular"])
def test_each_source_finds_pins_without_an_edge(shop: Opened, source: str, user: int) -> None:
    answer, _ = answered(process_of(shop, source), user_id=user)
    found = found_by(answer, source)
    if (source, user) == ("content", NOBODY):
        assert not found  # it needs a pin or a declared topic to be near to
    elif source == "popular":
        assert len(found) == 30  # the most saved ones first: pins on no board come behind all others
        assert found & COLD == set()
    else:
        wanted = COLD if source == "recent" and user == NOBODY else COLD_GARDEN
        assert wanted - {COLD_FROM} <= found


def test_popular_pins_go_on_with_those_on_no_board(shop: Opened) -> None:
    answer, shown = answered(process_of(shop, "popular", answer=PINS), user_id=NOBODY)
    assert set(shown) == set(range(PINS))
    assert set(answer.candidates.pin_ids[COLD_FROM:].tolist()) == COLD


def test_popular_pins_of_elsewhere_come_before_new_ones_of_the_locale(shop: Opened) -> None:
    answer, _ = answered(process_of(shop, "popular", answer=PINS), user_id=NOBODY, locale="de")
    order = answer.candidates.pin_ids.tolist()
    assert set(order[:LOCAL]) == set(range(LOCAL))
    assert set(order[LOCAL:COLD_FROM]) == set(range(LOCAL, COLD_FROM))
    assert set(order[COLD_FROM:]) == COLD


@pytest.mark.parametrize("user", [GARDENER, DECLARED, NOBODY])
def test_new_pins_are_shown_to_old_and_new_users(shop: Opened, user: int) -> None:
    answer, shown = answered(process_of(shop, "content", "recent", "popular"), user_id=user)
    assert answer.degraded == ""
    assert len(shown) == 25
    assert len(COLD & set(shown)) >= 5
    assert not {0, 2, COLD_FROM} & set(shown) or user != GARDENER


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ({"attribute": "price", ">=": COLD_FROM}, lambda pin: pin >= COLD_FROM),
        ({"attribute": "price", ">": 35, "<": 45}, lambda pin: 35 < pin < 45),
        (
            {"and": [{"attribute": "topics", "contains": "kitchen"}, {"attribute": "price", ">": 50}]},
            lambda pin: pin > 50 and pin % 2 == 1,
        ),
    ],
)
@pytest.mark.parametrize("user", [GARDENER, DECLARED, NOBODY])
def test_filters_hold_for_pins_on_no_board(
    shop: Opened, asked: dict[str, Any], holds: Callable[[int], bool], user: int
) -> None:
    wanted = read_filter(asked, attribute_kinds(shop.project.attributes))
    process = process_of(shop, "walk", "content", "recent", "popular", answer=PINS)
    _, shown = answered(process, user_id=user, filter=wanted)
    acted = {0, 2, COLD_FROM} if user == GARDENER else set()
    assert set(shown) == {pin for pin in range(PINS) if holds(pin)} - acted


@pytest.mark.parametrize("pins", [((50, None),), ((50, None), (4, 1.0)), ((50, 1.0), (52, 2.0), (54, 3.0))])
def test_a_query_pin_on_no_board_is_one_without_neighbours(
    shop: Opened, pins: tuple[tuple[int, float | None], ...]
) -> None:
    sources = "walk", "similar", "boards", "content"
    answer, shown = answered(process_of(shop, *sources), user_id=NOBODY, query_pins=pins)
    asked = {pin for pin, _ in pins}
    assert answer.degraded == ""
    assert set(answer.candidates.query_ids.tolist()) == asked
    assert len(shown) == 25
    assert not asked & set(shown)
    for source in ("walk", "similar", "boards"):
        assert bool(found_by(answer, source)) == (4 in asked), source
    assert found_by(answer, "content") & COLD_GARDEN
    reached = answer.candidates.pin_ids[answer.candidates.visits > 0]
    assert not COLD & set(reached.tolist())  # no walk gets there


def test_the_rankers_score_pins_on_no_board(tmp_path: Path) -> None:
    shop = built_shop(tmp_path)
    process = process_of(shop, "walk", "content", "recent", "popular")
    publish_lightweight(process.store, process.features, "homefeed", "pin_degree", sign=-1.0)
    publish_full(process, process.clients)
    process.watcher("lightweight", "full").poll()
    for user in (GARDENER, NOBODY):
        answer, shown = answered(process, user_id=user)
        assert COLD & set(shown)
        assert answer.ranked is not None
        assert np.isfinite(answer.ranked.scores).all()
        assert np.isfinite(answer.full_scores()[answer.shown]).all()


def test_a_published_day_brings_pins_without_an_edge(tmp_path: Path) -> None:
    shop = built_shop(tmp_path)
    store = shop.new_process().store
    pins = pq.read_table(tmp_path / "pins")
    pq.write_table(pa.concat_tables([pins, _renamed(pins.slice(COLD_FROM), PINS)]), tmp_path / "pins" / "all.parquet")
    pq.write_table(pa.table({"board_id": [0], "pin_id": [PINS]}), tmp_path / "day.parquet")
    done = merge_edges(shop.project, store, str(tmp_path / "day.parquet"))
    assert done.added == {"edges": 1, "pins": PINS - COLD_FROM, "boards": 0}
    answer, _ = answered(process_of(shop, "recent"), user_id=NOBODY)
    assert found_by(answer, "recent") - set(range(PINS))
    catalog = process_of(shop, "recent").catalogs.current
    assert (catalog.graph.pin_degree == 0).sum() == 2 * len(COLD) - 1


def _renamed(pins: pa.Table, first: int) -> pa.Table:
    return pins.set_column(0, "pin_id", pa.array(np.arange(first, first + len(pins))))
