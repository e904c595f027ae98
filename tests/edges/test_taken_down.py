"""What was taken down is in no answer: whatever the source, the arm, the graph or the process; until it is restored."""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.project import Opened, open_project
from apps.world.in_process import InProcess
from cluster.catalog.build import build_catalog
from cluster.catalog.merge import merge_edges
from cluster.settings.clients import Client, SourceSettings
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world, some_user
from tests.worlds.services import handler_of, send, served

SOURCES = ("walk", "boards", "content", "similar", "popular", "recent")
PATH = "/v1/homefeed/recommendations"


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


def with_sources(world: Opened, **sources: SourceSettings) -> None:
    client: Client = world.clients["homefeed"]
    world.clients["homefeed"] = client.model_copy(update={"sources": sources})


def answered(http: Face, **body: Any) -> list[int]:
    answer = http.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    return [pin["pin_id"] for pin in answer.json()["pins"]]


def named_in(value: Any, found: set[Any]) -> bool:
    """Whether an answer names one of `found` anywhere, by a key that holds ids."""
    if isinstance(value, dict):
        here = [each for key, each in value.items() if key in ("pin_id", "query_pin", "board")]
        return bool(found & set(here)) or any(named_in(each, found) for each in value.values())
    return isinstance(value, list) and any(named_in(each, found) for each in value)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("order", ["ranked", "visit_count"])
def test_no_source_gives_what_was_taken_down(world: Opened, source: str, order: str) -> None:
    with_sources(world, **{source: SourceSettings(quota=400)})
    with InProcess(world) as inside:
        http, body = Face(inside.app), {"user_id": some_user(world), "order": order, "explain": True}
        first = answered(http, **body)
        assert first
        told = http.post("/v1/pins/remove", json={"pins": first})
        assert told.json() == {"pins": len(first), "boards": 0, "not_in_graph": []}
        answer = http.post(PATH, json=body).json()
        assert not named_in(answer, set(first))
        assert len(answer["pins"]) == len(first), "others take their slots"
        assert http.post("/v1/pins/restore", json={"pins": first}).json()["pins"] == 0
        assert set(answered(http, **body)) & set(first)


def test_an_external_service_cannot_bring_it_back(world: Opened) -> None:
    catalog = world.new_process().catalogs.current
    pins = catalog.graph.pin_ids.ids_of(np.arange(catalog.graph.n_pins)).tolist()

    def reply(http: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        send(http, json.dumps({"pins": [{"pin_id": pin, "score": 1.0} for pin in pins]}).encode())

    with served(handler_of(reply)) as url:
        with_sources(world, external=SourceSettings(quota=600, settings={"url": url, "timeout_ms": 20_000}))
        with InProcess(world) as inside:
            http = Face(inside.app)
            gone = answered(http)
            http.post("/v1/pins/remove", json={"pins": gone})
            assert not set(answered(http, limit=500)) & set(gone)


def test_popular_pins_that_answer_alone_are_not_those_taken_down(world: Opened) -> None:

    with InProcess(world) as inside:
        http = Face(inside.app)
        gone = answered(http)
        http.post("/v1/pins/remove", json={"pins": gone})
        answer = http.post("/v1/related_pins/recommendations", json={"query_pins": [{"pin_id": gone[0]}]}).json()
        assert answer["source"] == "popular", "a removed pin starts no walk"
        assert "not in the graph" in answer["degraded"]
        assert not {pin["pin_id"] for pin in answer["pins"]} & set(gone)


def test_a_board_goes_with_the_pins_that_lie_on_no_other(world: Opened) -> None:
    with_sources(world, boards=SourceSettings(quota=400), walk=SourceSettings())
    graph = world.new_process().catalogs.current.graph
    boards = graph.board_ids.ids_of(np.arange(graph.n_boards)).tolist()
    holders: dict[int, list[int]] = {}
    for at, board in enumerate(boards):
        for pin in graph.pin_ids.ids_of(graph.pins_of(at)).tolist():
            holders.setdefault(pin, []).append(board)
    body = {"user_id": some_user(world), "explain": True, "limit": 500}
    with InProcess(world) as inside:
        http = Face(inside.app)
        shown = http.post(PATH, json=body).json()["pins"]
        named = {by["board"] for pin in shown for by in pin["explanation"]["found_by"] if "board" in by}
        gone = sorted(named)[: len(named) // 2]
        http.post("/v1/pins/remove", json={"boards": gone})
        answer = http.post(PATH, json=body).json()
        assert not named_in(answer, set(gone) - {pin["pin_id"] for pin in answer["pins"]})
        alone = {pin for pin, on in holders.items() if set(on) <= set(gone)}
        pins = {pin["pin_id"] for pin in answer["pins"]}
        assert not pins & alone
        elsewhere = {pin for pin, on in holders.items() if set(on) & set(gone)} - alone
        assert pins & elsewhere, "what somebody else has on another board stays"


def test_it_outlives_restarts_builds_and_new_edges(world: Opened, tmp_path: Path) -> None:
    path = tmp_path / "pinfunnel.yaml"
    body = {"user_id": some_user(world)}
    with InProcess(world) as inside:
        gone = answered(Face(inside.app), **body)
        Face(inside.app).post("/v1/pins/remove", json={"pins": gone})
    before = world.new_process().store.current("graph")
    for change in ("restart", "build", "edges", "old graph"):
        opened = open_project(path)
        store = opened.new_process().store
        if change == "build":
            build_catalog(opened.project, store, in_memory=True)
        elif change == "edges":
            kind = pa.int64()
            edges = pa.table({"board_id": pa.array([10_001] * len(gone), kind), "pin_id": pa.array(gone, kind)})
            pq.write_table(edges, tmp_path / "more.parquet")
            merge_edges(opened.project, store, str(tmp_path / "more.parquet"))
        elif change == "old graph":
            assert before is not None
            store.publish("graph", before)
        with InProcess(opened) as inside:
            assert not set(answered(Face(inside.app), **body)) & set(gone), change


def test_a_server_that_runs_hears_of_the_command_line_at_the_next_request(world: Opened, tmp_path: Path) -> None:
    body = {"user_id": some_user(world), "at": "2026-01-05T12:00:00Z"}  # the same walk each time
    with InProcess(world) as inside, InProcess(open_project(tmp_path / "pinfunnel.yaml"), _Nobody()) as other:
        servers = [Face(inside.app), Face(other.app)]
        gone = answered(servers[0], **body)
        file = tmp_path / "withdrawn.txt"
        file.write_text("\n".join(["pin_id", *map(str, gone)]))
        command = [sys.executable, "-m", "pinfunnel", "remove", "--project", str(tmp_path / "pinfunnel.yaml")]
        done = subprocess.run([*command, "--pins", str(file)], check=False, cwd=Path(__file__).parents[2])
        assert done.returncode == 1, "a line that is no id is told, and takes no other with it"
        assert not any(set(answered(http, **body)) & set(gone) for http in servers)
        subprocess.run([*command, "--pins", str(file), "--undo"], check=False, cwd=Path(__file__).parents[2])
        assert all(answered(http, **body) == gone for http in servers)


class _Nobody:
    """An event log that knows nothing of anybody: the project's own has one holder."""

    async def at_hand(self, *_: Any, **__: Any) -> Any:
        from serving.request.ask import UserState

        return UserState()

    def shown(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    "body",
    [{}, {"pins": []}, {"pins": ["7"]}, {"pins": [2**63]}, {"boards": [True]}, {"pins": 7}, {"pins": [1], "x": 1},
     {"pins": list(range(10_001))}],
)  # fmt: skip
def test_what_names_nothing_is_refused_and_takes_nothing_down(world: Opened, body: dict[str, Any]) -> None:
    with InProcess(world) as inside:
        for path in ("/v1/pins/remove", "/v1/pins/restore"):
            assert Face(inside.app).post(path, json=body).status_code == 422
    assert not world.new_process().removals.now().pins


def test_pins_of_tomorrow_are_taken_down_today(world: Opened) -> None:
    with InProcess(world) as inside:
        told = Face(inside.app).post("/v1/pins/remove", json={"pins": [-5, -6]}).json()
    assert told == {"pins": 2, "boards": 0, "not_in_graph": [-5, -6]}
