"""An answer is as long as it can be and holds only what may be shown; where it is shorter or odd, it says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.project import Opened, open_project
from cluster.catalog.build import build_catalog
from cluster.settings.clients import Client
from serving.deploy.process import Process
from serving.request.answer import Answer
from serving.request.ask import Recents
from tests.worlds.funnel import NOW, ask
from tests.worlds.fuzz import examples

PINS, BOARDS = 400, 40
RATINGS = ("adult", "adult", "adult", "all")  # three of four


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """A shop where most of what a walk from pin 0 reaches is rated adult, and pins 300 on are rated all."""
    return shop(tmp_path_factory.mktemp("shop"), [RATINGS[i % 4] if i < 300 else "all" for i in range(PINS)])


def shop(folder: Path, ratings: list[str]) -> Opened:
    rng = np.random.default_rng(0)
    boards = np.repeat(np.arange(BOARDS), 30)
    pins = np.where(boards < 35, rng.integers(0, 300, len(boards)), rng.integers(300, PINS, len(boards)))
    boards = np.concatenate([boards, np.full(PINS, BOARDS)])
    pins = np.concatenate([pins, np.arange(PINS)])
    pq.write_table(pa.table({"board_id": boards, "pin_id": pins}), folder / "edges.parquet")
    pq.write_table(pa.table({"pin_id": np.arange(len(ratings)), "rating": ratings}), folder / "pins.parquet")
    project = {
        "data": {"edges": {"path": "edges.parquet"}, "pins": {"path": "pins.parquet"}},
        "features": {"pin_categorical": ["rating"]},
        "serving": {"simulation": True},
    }
    (folder / "pinfunnel.yaml").write_text(yaml.safe_dump(project))
    opened = open_project(folder / "pinfunnel.yaml")
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    return opened


def answer(world: Opened, limit: int | None = None, by_visits: bool = False, **changes: Any) -> Answer:
    """The answer of a client `shelf`, with settings and fields of the request as asked."""
    client = {"name": "shelf", "query": {"source": "both"}, "sizes": {"walk": 200, "lightweight": 50, "answer": 25}}
    client |= changes.pop("client", {})
    process = Process(world.project, {"shelf": Client.model_validate(client)})
    request = ask("shelf", **{"query_pins": ((0, None),), **changes})
    return process.funnel.recommend_now(request, limit=limit, by_visits=by_visits)


def ratings(world: Opened, found: Answer) -> set[str]:
    labels = world.new_process().catalogs.current.pins.labels
    assert labels is not None
    return {labels.values[0][code] for code in labels.codes[found.candidates.pins, 0]}


@pytest.mark.parametrize("by_visits", [False, True])
@pytest.mark.parametrize("limit", [None, 1, 25, 100, 150])
def test_a_label_that_most_of_the_walk_carries_leaves_the_answer_full(
    world: Opened, limit: int | None, by_visits: bool
) -> None:
    forbid = {"policy": {"forbid": {"rating": ["adult"]}}}
    found = answer(world, limit, by_visits, client=forbid)
    assert len(found.shown) == (limit or 25)
    assert ratings(world, found) == {"all"}
    assert found.degraded == ""


def test_when_fewer_may_be_shown_all_of_them_are_and_the_answer_says_so(world: Opened) -> None:
    forbid = {"policy": {"forbid": {"rating": ["adult"]}}}
    allowed = sum(r == "all" for r in [RATINGS[i % 4] if i < 300 else "all" for i in range(PINS)])
    found = answer(world, 400, client=forbid, query_pins=())
    assert len(found.shown) == allowed
    assert f"answer: {allowed} of 400 pins" in found.degraded
    nothing = answer(world, client={"policy": {"forbid": {"rating": ["adult", "all"]}}})
    assert len(nothing.shown) == 0
    assert "0 of 25" in nothing.degraded


@pytest.mark.fuzz
@given(
    limit=st.integers(1, PINS),
    excluded=st.sets(st.integers(0, PINS - 1), max_size=PINS),
    hidden=st.sets(st.integers(0, PINS + 5), max_size=50),
    forbid=st.booleans(),
    query=st.sampled_from([(), (0,), (310, 0), (10**9,)]),
)
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_is_answered_in_full_by_what_may_be_shown(
    world: Opened, limit: int, excluded: set[int], hidden: set[int], forbid: bool, query: tuple[int, ...]
) -> None:
    rules = {"policy": {"forbid": {"rating": ["adult"]}}} if forbid else {}
    pins = tuple((pin, None) for pin in query)
    found = answer(
        world, limit, client=rules, exclude=tuple(excluded), hidden=tuple(hidden), query_pins=pins, user_id=None
    )
    allowed = {pin for pin in range(PINS) if not forbid or pin >= 300 or RATINGS[pin % 4] == "all"}
    allowed -= excluded | hidden
    shown = found.candidates.pin_ids[found.shown].tolist()
    assert len(set(shown)) == len(shown)
    assert set(shown) <= allowed
    starts = set(query) & allowed - hidden  # what the user looks at is not answered with
    assert len(shown) >= min(limit, len(allowed - starts))


def test_a_value_that_no_pin_has_is_told_with_the_near_one(world: Opened, caplog: pytest.LogCaptureFixture) -> None:
    answer(world, client={"policy": {"forbid": {"rating": ["Adult"]}, "demote": {"rating": {"alll": 0.5}}}})
    assert "client shelf: policy: no pin has rating 'Adult'; did you mean 'adult'?" in caplog.text
    assert "no pin has rating 'alll'; did you mean 'all'?" in caplog.text


def test_labels_are_told_by_value_where_the_hashes_of_features_are_the_same(tmp_path: Path) -> None:
    from cluster.features.columns import category_code

    names = np.array([f"seller {i}" for i in range(20_000)], object)
    codes = category_code(names)
    order = np.argsort(codes, kind="stable")
    twin = int(np.flatnonzero(codes[order][1:] == codes[order][:-1])[0])
    banned, innocent = str(names[order[twin]]), str(names[order[twin + 1]])
    world = shop(tmp_path, [banned if i % 2 else innocent for i in range(PINS)])
    found = answer(world, 150, client={"policy": {"forbid": {"rating": [banned]}}})
    assert len(found.shown) == 150
    assert ratings(world, found) == {innocent}


@pytest.mark.parametrize("pins", [((10**9, None),), ((0, None), (10**9, 2.0)), ((-1, None),)])
def test_a_query_pin_that_nobody_has_is_said(world: Opened, pins: tuple[tuple[int, float | None], ...]) -> None:
    unknown = pins[-1][0]
    assert f"candidates: query pin {unknown} is not in the graph" in answer(world, query_pins=pins).degraded


def test_a_limit_above_the_answer_size_is_kept_to(world: Opened) -> None:
    for limit in (26, 99, 100, 200, 380):
        for user in (None, 5):
            assert len(answer(world, limit, user_id=user).shown) == limit


def test_a_query_pin_that_the_user_hid_is_said(world: Opened) -> None:
    found = answer(world, query_pins=((0, None), (1, None)), hidden=(0,))
    assert "candidates: query pin 0 was hidden by the user and starts no walk" in found.degraded


@pytest.mark.parametrize("acted", [10, 60, 150])
def test_what_the_user_acted_on_since_the_build_leaves_the_answer_full(world: Opened, acted: int) -> None:
    """Also the actions that are beyond the sequence: they are left out before the cuts as well."""
    first = answer(world, 150, query_pins=((300, None),)).candidates.pin_ids[:acted].tolist()
    text = np.array(["click"] * len(first), object)
    recents = Recents(np.array(first, object), text, text, NOW - 1_000_000 * np.arange(1, len(first) + 1))
    found = answer(world, 100, query_pins=((300, None),), recents=recents, user_id=5)
    assert len(found.shown) == 100
    assert not set(found.candidates.pin_ids[found.shown].tolist()) & set(first)
    assert found.removed == {}
