"""What a user hid stays hidden: in every arm, after restarts and rebuilds, however much the user did since."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.project import Opened, open_project
from apps.world.in_process import URL, InProcess
from cluster.catalog.build import build_catalog
from serving.request.answer import Answer
from tests.worlds.funnel import NOW, ask, opened_world, some_user
from tests.worlds.toy import toy_project

AT = datetime.fromtimestamp(NOW / 1e6, UTC)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened_world(tmp_path_factory.mktemp("world"))


def shown(answer: Answer) -> list[int]:
    return list(answer.candidates.pin_ids[answer.shown].tolist())


@pytest.mark.parametrize("by_visits", [False, True])
def test_a_hidden_pin_is_in_no_arm_and_no_candidate(world: Opened, by_visits: bool) -> None:
    user, funnel = some_user(world), world.new_process().funnel
    best = shown(funnel.recommend_now(ask(user_id=user), by_visits=by_visits))
    answer = funnel.recommend_now(ask(user_id=user, hidden=tuple(best)), by_visits=by_visits)
    assert not set(best) & set(answer.candidates.pin_ids.tolist())
    assert len(answer.shown) == len(best), "what was hidden makes room for others"


def test_a_hidden_pin_starts_no_walk_even_when_the_request_names_it(world: Opened) -> None:
    user, funnel = some_user(world), world.new_process().funnel
    named = shown(funnel.recommend_now(ask(user_id=user)))[:2]
    pins = tuple((pin, None) for pin in named)
    answer = funnel.recommend_now(ask("related_pins", user, query_pins=pins, hidden=(named[0],)))
    assert named[1] in answer.candidates.query_ids.tolist()
    assert named[0] not in answer.candidates.query_ids.tolist()
    alone = funnel.recommend_now(ask("related_pins", None, query_pins=pins[:1], hidden=(named[0],)))
    assert alone.candidates.source == "popular"
    assert named[0] not in alone.candidates.pin_ids.tolist()


def test_a_query_pin_that_was_hidden_later_starts_no_walk(world: Opened) -> None:
    user, funnel = some_user(world), world.new_process().funnel
    before = funnel.recommend_now(ask(user_id=user)).candidates.query_ids.tolist()
    after = funnel.recommend_now(ask(user_id=user, hidden=(before[0],))).candidates.query_ids.tolist()
    assert before[0] not in after
    assert before[1] in after


def history_with_hide(folder: Path, clicks: int) -> tuple[Opened, int, int]:
    """A project whose events input says: a hide, and then so many clicks of the same user."""
    path = toy_project(folder, settings={"serving": {"simulation": True}})
    opened = open_project(path)
    events = Path(opened.project.data.events.path)  # type: ignore[union-attr]
    file = events if events.is_file() else next(events.rglob("*.parquet"))
    table = pq.read_table(file)
    pins = pq.read_table(opened.project.data.edges.path)["pin_id"].unique().to_pylist()
    user, pin = 77_777, pins[0]
    moments = [AT - timedelta(days=1) + timedelta(seconds=i) for i in range(clicks + 1)]
    rows: dict[str, Any] = {
        "user_id": [user] * (clicks + 1),
        "pin_id": [pin, *(pins[1 + i % 20] for i in range(clicks))],
        "action": ["hide", *["click"] * clicks],
        "occurred_at": pa.array(moments, table.schema.field("occurred_at").type),
    }
    more = pa.table({f.name: pa.array(rows[f.name], f.type) if f.name in rows else pa.nulls(clicks + 1, f.type)
                     for f in table.schema}, schema=table.schema)  # fmt: skip
    pq.write_table(pa.concat_tables([table, more]), file)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    return opened, user, pin


@pytest.mark.parametrize("clicks", [5, 600])
def test_a_hide_of_the_events_input_holds_after_a_build_and_hundreds_of_clicks(tmp_path: Path, clicks: int) -> None:
    opened, user, pin = history_with_hide(tmp_path, clicks)
    row = opened.new_process().catalogs.current.users.row(user)
    assert row.hidden.tolist() == [pin]
    if clicks == 600:
        assert pin not in row.pin_ids.tolist(), "the hide is out of the recent actions"
    answer = opened.new_process().funnel.recommend_now(ask(user_id=user, query_pins=((pin, 5.0),)))
    assert pin not in answer.candidates.pin_ids.tolist()
    assert pin not in answer.candidates.query_ids.tolist()


def post(app: InProcess, path: str, body: dict[str, Any]) -> dict[str, Any]:
    import asyncio

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=app.transport, base_url=URL) as client:
            return await client.post(path, json=body)

    response = asyncio.run(send())
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_a_hide_over_http_survives_restarts_clicks_and_rebuilds(tmp_path: Path) -> None:
    opened = opened_world(tmp_path)
    user = some_user(opened)
    body = {"user_id": user, "at": AT.isoformat()}

    def answered(app: InProcess) -> list[int]:
        return [pin["pin_id"] for pin in post(app, "/v1/homefeed/recommendations", body)["pins"]]

    def act(app: InProcess, name: str, pin: int, action: str, seconds: int) -> None:
        moment = (AT - timedelta(hours=1) + timedelta(seconds=seconds)).isoformat()
        event = {"event_id": name, "user_id": user, "pin_id": pin, "action": action, "occurred_at": moment}
        assert post(app, "/v1/events", {"events": [event]})["accepted"] == 1

    with InProcess(opened) as app:
        first = answered(app)
        act(app, "hide", first[0], "hide", 0)
        assert first[0] not in answered(app)
        for i in range(150):
            act(app, f"click {i}", first[1 + i % 10], "click", 1 + i)
        assert first[0] not in answered(app)
    reopened = open_project(tmp_path / "pinfunnel.yaml")
    with InProcess(reopened) as app:
        assert first[0] not in answered(app)
    build_catalog(reopened.project, reopened.new_process().store, in_memory=True)
    with InProcess(open_project(tmp_path / "pinfunnel.yaml")) as app:
        assert first[0] not in answered(app)


def test_hides_are_bounded_by_the_setting(tmp_path: Path) -> None:
    opened, user, _ = history_with_hide(tmp_path, 1)
    project = opened.project
    fewer = project.model_copy(update={"serving": project.serving.model_copy(update={"hidden_per_user": 0})})
    build_catalog(fewer, opened.new_process().store, in_memory=True)
    reopened = replace(opened.new_process(), project=fewer)
    assert len(reopened.catalogs.current.users.row(user).hidden) == 0
    assert isinstance(reopened.catalogs.current.users.row(user).hidden, np.ndarray)
