"""What a user chose not to see is gone at the next request: boards and topics, in every source, and after a restart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.project import Opened, open_project
from apps.world.in_process import InProcess
from cluster.catalog.build import build_catalog
from cluster.settings.clients import SourceSettings
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world, some_user

PATH = "/v1/homefeed/recommendations"
CHOICES = "/v1/users/choices"


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    opened = opened_world(tmp_path)
    names = ("walk", "boards", "content", "similar", "popular")
    sources = {name: SourceSettings(quota=300) for name in names}
    opened.clients["homefeed"] = opened.clients["homefeed"].model_copy(update={"sources": sources})
    return opened


def pins_of(answer: dict[str, Any]) -> set[int]:
    return {pin["pin_id"] for pin in answer["pins"]}


def of_topic(world: Opened, topic: str) -> set[int]:
    catalog = world.new_process().catalogs.current
    column = catalog.pins.vocabulary.topics.index(topic)
    return set(catalog.graph.pin_ids.ids_of(np.flatnonzero(catalog.pins.topics[:, column] > 0)).tolist())


def of_board(world: Opened, board: int) -> set[int]:
    graph = world.new_process().catalogs.current.graph
    return set(graph.pin_ids.ids_of(graph.pins_of(int(graph.board_ids.index_of([board])[0]))).tolist())


def test_a_topic_is_gone_for_the_one_user_and_comes_back(world: Opened, tmp_path: Path) -> None:
    user = some_user(world)
    topics = world.new_process().catalogs.current.pins.vocabulary.topics
    body = {"user_id": user, "limit": 200}
    with InProcess(world) as inside:
        http = Face(inside.app)
        first = pins_of(http.post(PATH, json=body).json())
        topic = max(topics, key=lambda name: len(first & of_topic(world, name)))
        told = http.post(CHOICES, json={"user_id": user, "hide": {"topics": [topic, "no such"]}}).json()
        assert told == {"personalization": True, "boards": [], "topics": sorted(["no such", topic])}
        answer = http.post(PATH, json=body | {"explain": True}).json()
        assert len(answer["pins"]) > 10
        assert not pins_of(answer) & of_topic(world, topic)
        started = {each["pin_id"] for pin in answer["pins"] for each in pin["explanation"]["reached_from"]}
        assert not started & of_topic(world, topic), "no walk starts there"
        assert pins_of(http.post(PATH, json={"limit": 200}).json()) & of_topic(world, topic), "others are shown it"
    reopened = open_project(tmp_path / "pinfunnel.yaml")
    build_catalog(reopened.project, reopened.new_process().store, in_memory=True)
    with InProcess(reopened) as inside:
        http = Face(inside.app)
        assert not pins_of(http.post(PATH, json=body).json()) & of_topic(reopened, topic)
        http.post(CHOICES, json={"user_id": user, "show": {"topics": [topic]}})
        assert pins_of(http.post(PATH, json=body).json()) & of_topic(reopened, topic)


def test_a_board_is_gone_with_all_its_pins(world: Opened) -> None:
    user = some_user(world)
    graph = world.new_process().catalogs.current.graph
    boards = graph.board_ids.ids_of(np.arange(graph.n_boards)).tolist()
    body = {"user_id": user, "limit": 200}
    with InProcess(world) as inside:
        http = Face(inside.app)
        first = pins_of(http.post(PATH, json=body).json())
        largest = sorted(boards, key=lambda board: -len(first & of_board(world, board)))[:3]
        http.post(CHOICES, json={"user_id": user, "hide": {"boards": largest}})
        gone = set().union(*(of_board(world, board) for board in largest))
        assert gone & first
        assert not pins_of(http.post(PATH, json=body).json()) & gone
        named = http.post(PATH, json={**body, "query_pins": [{"pin_id": min(gone)}]}).json()
        assert "hidden by the user" in named["degraded"]


@pytest.mark.parametrize(
    "body",
    [{}, {"user_id": "x"}, {"user_id": 1, "hide": {"boards": ["x"]}}, {"user_id": 1, "hide": {"pins": [1]}},
     {"user_id": 1, "hide": {"topics": ["t" * 300]}}, {"user_id": 1, "personalization": 1},
     {"user_id": 1, "hide": {"boards": list(range(1001))}}],
)  # fmt: skip
def test_what_is_no_choice_is_refused(world: Opened, body: dict[str, Any]) -> None:
    with InProcess(world) as inside:
        assert Face(inside.app).post(CHOICES, json=body).status_code == 422


def test_a_user_hides_no_more_than_fits(world: Opened) -> None:
    with InProcess(world) as inside:
        http = Face(inside.app)
        assert http.post(CHOICES, json={"user_id": 1, "hide": {"boards": list(range(900))}}).status_code == 200
        again = http.post(CHOICES, json={"user_id": 1, "hide": {"boards": list(range(900, 1100))}})
        assert again.status_code == 422
        assert "at most 1000" in again.text
        assert len(http.post(CHOICES, json={"user_id": 1}).json()["boards"]) == 900
