"""The HTTP face over plain parts in one process: validation, auth, events, explanations, overload."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from apps.project import Opened
from apps.world.in_process import InProcess
from serving.http.users import Events
from serving.logs.receipt import Receipt
from serving.request.ask import UserState
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world, publish_full, publish_lightweight, some_user

Opener = Callable[..., Face]


@pytest.fixture
def face() -> Iterator[Opener]:
    """Opens projects' endpoints, and closes them after the test: their threads must not outlive it."""
    with ExitStack() as closing:

        def opened(project: Opened, events: Any = None) -> Face:
            return Face(closing.enter_context(InProcess(project, events)).app)

        yield opened


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


def event(pin: int, **changes: Any) -> dict[str, Any]:
    fields = {"event_id": "e1", "user_id": 1, "pin_id": pin, "action": "save", "occurred_at": "2026-01-04T00:00:00Z"}
    return {**fields, **changes}


def test_an_answer_says_what_it_came_from(face: Opener, world: Opened) -> None:
    http, user = face(world), some_user(world)
    answer = http.post("/v1/homefeed/recommendations", json={"user_id": user}).json()
    assert len(answer["pins"]) == world.clients["homefeed"].sizes.answer
    assert answer["versions"]["graph"] == world.new_process().store.current("graph")
    assert [stage["stage"] for stage in answer["stages"]] == ["walk", "lightweight", "full"]
    assert answer["stages"][0]["kept"] == answer["stages"][1]["received"] > answer["stages"][2]["kept"]
    assert "explanation" not in answer["pins"][0]


def test_explanations_name_query_pins_scores_and_features(face: Opener, world: Opened) -> None:
    publish_lightweight(world.new_process().store, world.new_process().features, "homefeed", "graph_rank", sign=-1)
    http, user = face(world), some_user(world)
    answer = http.post("/v1/homefeed/recommendations", json={"user_id": user, "explain": True}).json()
    candidates = [p["explanation"] for p in answer["pins"] if p["explanation"]["visit_score"] > 0]
    assert candidates
    for explanation in candidates:
        assert sum(r["visits"] for r in explanation["reached_from"]) > 0
        assert "graph_rank" in explanation["lightweight_top_features"]


def test_an_explanation_tells_where_a_pin_stood_at_every_stage_and_why(face: Opener, world: Opened) -> None:
    publish_lightweight(world.new_process().store, world.new_process().features, "homefeed", "graph_rank", sign=-1)
    publish_full(world.new_process(), world.clients)
    http, body = face(world), {"user_id": some_user(world), "explain": True}
    answer = http.post("/v1/homefeed/recommendations", json=body).json()
    assert answer["removed"] == {}
    told = [pin["explanation"] for pin in answer["pins"]]
    for stage in ("lightweight", "full"):
        order = sorted(told, key=lambda why: why[f"{stage}_rank"])
        scores = [why[f"{stage}_score"] for why in order]
        assert scores == sorted(scores, reverse=True)
        assert len({why[f"{stage}_rank"] for why in told}) == len(told)
    weights = world.clients["homefeed"].utility
    for why in told:
        assert why["utility_parts"] == {
            a: pytest.approx(weights[a] * p) for a, p in why["probabilities"].items() if weights[a]
        }
        assert sum(why["utility_parts"].values()) == pytest.approx(why["full_score"], abs=1e-5)
        assert set(why["full_log_odds"]) == set(why["probabilities"])
        for action, parts in why["full_log_odds"].items():
            p = why["probabilities"][action]
            total = parts["baseline"] + sum(parts["inputs"].values()) + parts["others"]
            assert total == pytest.approx(np.log(p / (1 - p)), abs=1e-3)
    assert "removed" not in http.post("/v1/homefeed/recommendations", json={"user_id": body["user_id"]}).json()


@pytest.mark.parametrize("stops", [False, True])
def test_the_teacher_works_behind_the_answer_and_no_row_is_lost(tmp_path: Path, stops: bool) -> None:
    world = opened_world(tmp_path, teacher_share=1.0, teacher_candidates=7)
    sizes = world.clients["homefeed"].sizes.model_copy(update={"lightweight": 40})
    world.clients["homefeed"] = world.clients["homefeed"].model_copy(update={"sizes": sizes})
    publish_full(world.new_process(), world.clients)
    inside = InProcess(world, None)

    async def serve() -> None:
        transport = httpx.ASGITransport(inside.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://funnel") as http:
            await http.post("/v1/homefeed/recommendations", json={"user_id": some_user(world)})
            if not stops:  # else the loop ends under the teacher's feet
                assert (await http.post("/v1/logs/flush")).json()["requests"] == 1

    with inside:
        asyncio.run(serve())
        if stops:
            asyncio.run(_flush(inside))
    logged = pq.read_table(world.new_process().logs.serving_files().paths[0], partitioning=None)
    scored = np.isfinite(np.array(logged["full_score"][0].as_py(), np.float32)).sum()
    rate = logged["teacher_rate"][0].as_py()
    if stops and rate is None:
        assert scored == 40
    else:
        assert scored == 47
        assert 0 < rate < 1


async def _flush(inside: InProcess) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(inside.app), base_url="http://funnel") as http:
        assert (await http.post("/v1/logs/flush")).json()["requests"] == 1


def test_limit_exclude_and_order(face: Opener, world: Opened) -> None:
    http, user = face(world), some_user(world)
    body = {"user_id": user, "limit": 3, "order": "visit_count"}
    first = [p["pin_id"] for p in http.post("/v1/homefeed/recommendations", json=body).json()["pins"]]
    assert len(first) == 3
    again = http.post("/v1/homefeed/recommendations", json={**body, "exclude": first}).json()["pins"]
    assert not {p["pin_id"] for p in again} & set(first)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("nope", {}, 404, "unknown client 'nope'"),
        ("homefeed", {"usr": 1}, 422, "usr"),
        ("homefeed", {"limit": 0}, 422, "limit"),
        ("homefeed", {"at": "2026-01-01T00:00:00"}, 422, "no time zone"),
        ("search", {"user_id": 1}, 422, "query_pins: send at least one"),
    ],
)
def test_bad_requests_name_the_field(
    face: Opener, world: Opened, path: str, body: dict[str, Any], status: int, says: str
) -> None:
    answer = face(world).post(f"/v1/{path}/recommendations", json=body)
    assert answer.status_code == status
    assert says in answer.text


def test_time_is_pretended_only_in_simulation(face: Opener, tmp_path: Path) -> None:
    http = face(opened_world(tmp_path, simulation=False))
    answer = http.post("/v1/homefeed/recommendations", json={"at": "2026-01-01T00:00:00Z"})
    assert answer.status_code == 422
    assert "serving.simulation" in answer.text


def test_a_client_with_a_key_wants_it(face: Opener, world: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_KEY", "secret")
    keyed = world.clients["homefeed"].model_copy(update={"api_key_env": "FEED_KEY"})
    others = {name: client.model_copy(update={"open": True}) for name, client in world.clients.items()}
    http = face(Opened(world.project, {**others, "homefeed": keyed}))
    assert http.post("/v1/homefeed/recommendations", json={}).status_code == 401
    assert http.post("/v1/homefeed/recommendations", json={}, headers={"x-api-key": b"s\xe9cret"}).status_code == 401
    assert http.post("/v1/homefeed/recommendations", json={}, headers={"x-api-key": "secret"}).status_code == 200
    assert http.post("/v1/ads/recommendations", json={}).status_code == 200
    assert http.post("/v1/events", json={"events": [event(1)]}).status_code == 401
    assert http.post("/v1/events", json={"events": [event(1)]}, headers={"x-api-key": "secret"}).status_code == 200


def test_events_steer_the_next_walk(face: Opener, world: Opened) -> None:
    http = face(world)
    pin = int(world.new_process().catalogs.current.graph.pin_ids.ids_of([3])[0])
    new_user = {"user_id": 777_777_777, "explain": True}
    assert http.post("/v1/homefeed/recommendations", json=new_user).json()["source"] == "popular"
    receipt = http.post("/v1/events", json={"events": [event(pin, user_id=777_777_777)]}).json()
    assert receipt == {"accepted": 1, "refused": [], "not_in_graph": []}
    answer = http.post("/v1/homefeed/recommendations", json=new_user).json()
    assert answer["source"] == "walk"
    assert answer["pins"][0]["explanation"]["reached_from"][0]["pin_id"] == pin


def test_requests_and_events_reach_the_logs(face: Opener, world: Opened) -> None:
    http, user = face(world), some_user(world)
    answer = http.post("/v1/homefeed/recommendations", json={"user_id": user, "experiment": "a"}).json()
    http.post("/v1/events", json={"events": [event(answer["pins"][0]["pin_id"], request_id=answer["request_id"])]})
    assert http.post("/v1/logs/flush").json() == {"requests": 1, "events": 1}
    files = world.new_process().logs.serving_files("homefeed")
    assert files.rows == 1
    stored, _ = world.new_process().logs.read_events()
    assert stored["request_id"].to_pylist() == [answer["request_id"]]


def test_a_dead_event_log_refuses_events_but_not_answers(face: Opener, world: Opened) -> None:
    class Dead(Events):
        async def append(self, events: list[dict[str, Any]]) -> Receipt:
            raise OSError("disk full")

        async def at_hand(self, user_id: int | str | None, seconds: float, old: bool = False) -> UserState | None:
            return None

        async def state(self, user_id: int | str | None) -> UserState:
            await asyncio.sleep(30)
            return UserState()

        async def flush(self) -> int:
            return 0

    http = face(world, Dead())
    answer = http.post("/v1/events", json={"events": [event(1)]})
    assert answer.status_code == 503
    assert "send them again" in answer.text
    assert http.post("/v1/homefeed/recommendations", json={"user_id": some_user(world)}).status_code == 200


def test_models_health_and_docs(face: Opener, world: Opened) -> None:
    http = face(world)
    assert http.get("/v1/models").json()["graph"] == world.new_process().store.current("graph")
    assert http.get("/healthz").json() == {"status": "ok", "home": world.project.home}
    ready = http.get("/readyz")
    assert (ready.status_code, ready.json()["status"], ready.json()["reasons"]) == (200, "ok", [])
    paths = http.get("/openapi.json").json()["paths"]
    assert {"/v1/{client}/recommendations", "/v1/events", "/v1/models", "/healthz", "/readyz"} <= set(paths)
    assert http.get("/docs").status_code == 200


def test_a_simulation_can_be_repeated_and_its_arms_walk_alike(face: Opener, world: Opened) -> None:
    http = face(world)
    body = {"user_id": some_user(world), "at": "2026-02-01T00:00:00Z", "experiment": "a"}

    def ask(**other: object) -> tuple[str, list[tuple[int, float]]]:
        answer = http.post("/v1/homefeed/recommendations", json={**body, "explain": True, **other}).json()
        return answer["request_id"], [(pin["pin_id"], pin["explanation"]["visit_score"]) for pin in answer["pins"]]

    assert ask() == ask()
    other_arm = ask(experiment="b")
    assert other_arm[0] != ask()[0]
    assert other_arm[1] == ask()[1]
    assert ask(at="2026-02-01T00:00:01Z")[1] != ask()[1]
    assert ask(limit=2)[0] != ask()[0], "another request of the same user and time is another one"
    assert ask(at=None)[0] != ask(at=None)[0]
