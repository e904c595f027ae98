"""Without personalization, by request or by user, nothing tells an answer or its log row from that to nobody."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.project import Opened, open_project
from apps.world.in_process import InProcess
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world, publish_full, publish_lightweight, some_user

AT = "2026-01-05T12:00:00Z"
OWN = ("request_id", "milliseconds", "personalization")


class Site:
    """A server in this process, and what it answers and logs."""

    def __init__(self, world: Opened, inside: InProcess):
        self.world = world
        self.inside = inside
        self.http = Face(inside.app)
        self.user = some_user(world)

    def ask(self, client: str = "homefeed", **body: Any) -> dict[str, Any]:
        answer = self.http.post(f"/v1/{client}/recommendations", json={"at": AT, **body})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def row(self, request_id: str) -> dict[str, Any]:
        """What the log holds of a request, but for its id and how long it took."""
        self.inside.flush()
        for path in self.world.new_process().logs.serving_files().paths[::-1]:
            for row in pq.ParquetFile(path).read().to_pylist():
                if row["request_id"] == request_id:
                    return {name: value for name, value in row.items() if name not in OWN}
        raise AssertionError(f"{request_id} was not logged")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    world = opened_world(tmp_path_factory.mktemp("world"))
    process = world.new_process()
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1)
    publish_full(process, world.clients)
    with InProcess(world) as inside:
        made = Site(world, inside)
        for at, pin in enumerate((1, 2, 3)):
            event = {"event_id": f"e{at}", "user_id": made.user, "pin_id": pin, "action": "save", "occurred_at": AT}
            assert made.http.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
        yield made


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """Without ids and times, which no two answers share."""
    stages = [{name: of for name, of in stage.items() if name not in OWN} for stage in answer["stages"]]
    return {name: value for name, value in answer.items() if name not in OWN} | {"stages": stages}


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    pins = draw(st.lists(st.integers(0, 700), max_size=4, unique=True))
    client = draw(st.sampled_from(["homefeed", "related_pins", "search", "ads"])) if pins else "homefeed"
    body: dict[str, Any] = {
        "query_pins": [{"pin_id": pin} for pin in pins],
        "exclude": draw(st.lists(st.integers(0, 600), max_size=4)),
        "limit": draw(st.integers(1, 60)),
        "explain": draw(st.booleans()),
        "order": draw(st.sampled_from(["ranked", "visit_count"])),
    }
    if draw(st.booleans()):
        body["locale"] = draw(st.sampled_from(["en", "de", "xx"]))
    return client, body


@given(asked=bodies())
@settings(max_examples=25)
def test_it_is_as_if_nobody_had_said_who_asks(site: Site, asked: tuple[str, dict[str, Any]]) -> None:
    client, body = asked
    off = site.ask(client, **body, user_id=site.user, personalization=False)
    nobody = site.ask(client, **body)
    assert off["personalization"] is False
    assert "personalization" not in nobody
    assert plain(off) == plain(nobody)
    mine, of_nobody = (repr(site.row(one["request_id"])) for one in (off, nobody))  # as text: NaN equals NaN
    assert mine == of_nobody
    assert "'user_id': None" in mine


def test_with_it_the_same_user_gets_another_answer(site: Site) -> None:
    """Else the test above could not fail."""
    assert plain(site.ask(user_id=site.user)) != plain(site.ask())
    assert site.row(site.ask(user_id=site.user)["request_id"])["user_id"] == site.user


def test_a_user_turns_it_off_and_on_at_once_and_across_restarts(tmp_path: Path) -> None:
    world = opened_world(tmp_path)
    with InProcess(world) as inside:
        site = Site(world, inside)
        usual = plain(site.ask(user_id=site.user))
        told = site.http.post("/v1/users/choices", json={"user_id": site.user, "personalization": False})
        assert told.json() == {"personalization": False, "boards": [], "topics": []}
        assert plain(site.ask(user_id=site.user)) == plain(site.ask()) != usual
        event = {"event_id": "e", "user_id": site.user, "pin_id": 1, "action": "save", "occurred_at": AT}
        receipt = site.http.post("/v1/events", json={"events": [event, {**event, "event_id": "f", "user_id": -1}]})
        assert receipt.json()["accepted"] == 1
        assert [each["row"] for each in receipt.json()["refused"]] == [0]
        assert "personalization" in receipt.json()["refused"][0]["reason"]
    reopened = open_project(tmp_path / "pinfunnel.yaml")
    with InProcess(reopened) as inside:
        site = Site(reopened, inside)
        off = site.ask(user_id=site.user)
        assert off["personalization"] is False
        assert site.row(off["request_id"])["user_id"] is None
        site.http.post("/v1/users/choices", json={"user_id": site.user, "personalization": True})
        assert plain(site.ask(user_id=site.user)) == usual


@pytest.mark.parametrize("value", ["no", 0, None])
def test_only_true_and_false_are_taken(site: Site, value: Any) -> None:
    body = {"user_id": site.user, "personalization": value}
    assert site.http.post("/v1/homefeed/recommendations", json=body).status_code == 422
