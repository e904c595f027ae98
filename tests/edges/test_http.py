"""Whatever is sent to the API: what is wrong is one short 4xx that names the field, and nothing else is lost by it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.project import Opened
from apps.serve import FunnelArgs, build
from apps.world.in_process import InProcess
from cluster.errors import ConfigError
from cluster.settings.access import AccessSettings
from serving.http.auth import Authorizer
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world, some_user
from tests.worlds.fuzz import examples

ANSWER = 4_000
"""Characters of the longest answer to bad input."""
FEED = "/v1/homefeed/recommendations"
TOO_LARGE = [2**63, 2**64, 2**70, -(2**63) - 1, 10**300]
NO_INT64 = [*TOO_LARGE, "alice", "5", "", True, False, 5.0, 0.5, [1], {"id": 1}]
NO_TEXT = ["\ud800", "a\udfffb", "x" * 300, 5, True, ["de"], {}]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def http(world: Opened) -> Iterator[Face]:
    with InProcess(world) as app:
        yield Face(app.app)


def raw(http: Face, path: str, text: str | bytes) -> Any:
    """Posts a body as it stands: Python's own encoder would refuse some of what clients send."""
    return http._call("POST", path, content=text, headers={"content-type": "application/json"})


def refused(answer: Any, field: str) -> None:
    assert answer.status_code == 422, (answer.status_code, answer.text[:300])
    assert len(answer.text) < ANSWER
    assert answer.text.isascii()
    assert field in answer.text


@pytest.mark.parametrize("value", NO_INT64, ids=str)
@pytest.mark.parametrize("field", ["user_id", "exclude", "query_pins"])
def test_what_is_no_id_of_the_project_is_a_422_that_names_the_field(http: Face, field: str, value: Any) -> None:
    bodies = {"user_id": value, "exclude": [1, value], "query_pins": [{"pin_id": 1}, {"pin_id": value}]}
    refused(raw(http, FEED, json.dumps({field: bodies[field]})), field)


@pytest.mark.parametrize("value", NO_TEXT, ids=lambda v: repr(v)[:12])
@pytest.mark.parametrize("field", ["locale", "experiment", "order"])
def test_what_is_no_text_is_a_422_that_names_the_field(http: Face, field: str, value: Any) -> None:
    refused(raw(http, FEED, json.dumps({field: value})), field)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "-1", "0", "1e999", '"much"', "1e7"])
def test_a_weight_is_a_finite_number_above_0(http: Face, value: str) -> None:
    refused(raw(http, FEED, f'{{"query_pins": [{{"pin_id": 1, "weight": {value}}}]}}'), "weight")


@pytest.mark.parametrize("body", [{"limit": "5"}, {"limit": True}, {"limit": 1.0}, {"explain": "yes"}, {"explain": 1}])
def test_numbers_and_switches_are_of_their_own_type(http: Face, body: dict[str, Any]) -> None:
    refused(raw(http, FEED, json.dumps(body)), next(iter(body)))


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T00:00:00Z", "x"])
def test_a_moment_lies_in_the_years_that_make_sense(http: Face, value: str) -> None:
    refused(raw(http, FEED, json.dumps({"at": value})), "at")


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", "7", '"x"', "[" * 100_000, b"\xff\xfe", '{"user_id": ' + "9" * 5000 + "}"],
)
def test_what_is_no_json_object_is_a_short_4xx(http: Face, body: str | bytes) -> None:
    answer = raw(http, FEED, body)
    assert 400 <= answer.status_code < 500, answer.text[:200]
    assert len(answer.text) < ANSWER


@pytest.mark.parametrize("field", ["locale", "experiment", "user_id", "unknown field", "order"])
def test_ten_megabytes_are_cut_off_and_not_sent_back(http: Face, field: str) -> None:
    answer = raw(http, FEED, json.dumps({field: "x" * 10_000_000}))
    assert answer.status_code == 413
    assert "serving.body_bytes" in answer.text
    answer = raw(http, FEED, json.dumps({field: "x" * 1_000_000}))
    assert answer.status_code == 422
    assert len(answer.text) < ANSWER
    answer = raw(http, FEED, json.dumps({"x" * 1_000_000: 1}))
    assert (answer.status_code, len(answer.text) < ANSWER) == (422, True)


def test_many_faults_are_counted_not_listed(http: Face) -> None:
    answer = raw(http, FEED, json.dumps({"exclude": [0.5] * 5000}))
    assert answer.status_code == 422
    assert len(answer.text) < ANSWER
    assert "more" in answer.text


def test_an_unknown_client_of_any_name_is_a_short_404(http: Face) -> None:
    for name in ("nope", "x" * 5000, "%ED%A0%80", "ü"):
        answer = http.post(f"/v1/{name}/recommendations", json={})
        assert answer.status_code == 404
        assert len(answer.text) < ANSWER


@pytest.mark.parametrize("key", [b"s\xe9cret", b"\xff\xfe", b"x" * 5000, b""])
def test_any_bytes_as_a_key_are_a_401(world: Opened, monkeypatch: pytest.MonkeyPatch, key: bytes) -> None:
    monkeypatch.setenv("FEED_KEY", "secret")
    keyed = world.clients["homefeed"].model_copy(update={"api_key_env": "FEED_KEY"})
    from fastapi import HTTPException

    authorizer = Authorizer(AccessSettings(), {"homefeed": keyed})
    for scope, client in (("recommend", "homefeed"), ("events", None), ("admin", None)):
        with pytest.raises(HTTPException) as caught:
            authorizer.admit(scope, client, key)  # type: ignore[arg-type]
        assert caught.value.status_code == 401


@pytest.mark.parametrize("value", [None, ""])
def test_a_key_variable_that_is_not_set_refuses_to_start(
    tmp_path: Path, world: Opened, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("FEED_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("FEED_KEY", value)
    keyed = world.clients["homefeed"].model_copy(update={"api_key_env": "FEED_KEY"})
    with pytest.raises(ConfigError, match=r"client homefeed: api_key_env: .*'FEED_KEY' is not set or empty"):
        Authorizer(AccessSettings(), {"homefeed": keyed})
    clients = tmp_path / "clients"
    clients.mkdir()
    (clients / "homefeed.yaml").write_text("api_key_env: FEED_KEY")
    project = tmp_path / "pinfunnel.yaml"
    project.write_text("data: {edges: {path: e}}\nclients: clients")
    with pytest.raises(ConfigError, match="FEED_KEY"):
        build(FunnelArgs(project=str(project)))


def test_a_server_that_others_reach_wants_keys_or_a_word(tmp_path: Path) -> None:
    project = tmp_path / "pinfunnel.yaml"
    project.write_text("data: {edges: {path: e}}")
    with pytest.raises(ConfigError, match=r"access: other machines reach this server, .*keys new"):
        build(FunnelArgs(project=str(project)))
    assert build(FunnelArgs(project=str(project), loopback=True))
    project.write_text("data: {edges: {path: e}}\naccess: {open: true}")
    assert build(FunnelArgs(project=str(project)))


def event(**changes: Any) -> dict[str, Any]:
    fields = {"event_id": "e", "user_id": 1, "pin_id": 2, "action": "save", "occurred_at": "2026-01-04T00:00:00Z"}
    return {**fields, **changes}


BAD_EVENTS: dict[str, Any] = {
    "large pin": event(pin_id=2**70),
    "text user": event(user_id="alice"),
    "bool": event(user_id=True),
    "float": event(pin_id=5.0),
    "null": event(pin_id=None),
    "surrogate client": event(client="\ud800"),
    "surrogate request": event(request_id="\udfff"),
    "surrogate id": event(event_id="\ud800"),
    "long request": event(request_id="x" * 1000),
    "year 1": event(occurred_at="0001-01-01T00:00:00Z"),
    "no zone": event(occurred_at="2026-01-04T00:00:00"),
    "no such action": event(action="applaud"),
    "unknown field": event(colour="red"),
    "no id": {k: v for k, v in event().items() if k != "event_id"},
    "empty id": event(event_id=""),
    "no object": 7,
    "list": [event()],
    "nothing": None,
}


@pytest.mark.parametrize("bad", BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_a_bad_event_is_refused_alone_by_its_row(http: Face, world: Opened, bad: Any) -> None:
    name = f"{id(bad)}"
    batch = [event(event_id=f"{name} a"), bad, event(event_id=f"{name} b")]
    answer = raw(http, "/v1/events", json.dumps({"events": batch}))
    assert answer.status_code == 200, answer.text[:300]
    receipt = answer.json()
    assert receipt["accepted"] == 2
    (refusal,) = receipt["refused"]
    assert refusal["row"] == 1
    assert ": " in refusal["reason"]
    assert len(answer.text) < ANSWER
    http.post("/v1/logs/flush")
    stored, _ = world.new_process().logs.read_events()
    assert {f"{name} a", f"{name} b"} <= set(stored["event_id"].to_pylist())


@pytest.mark.parametrize("batch", [[], None, {}, [event()] * 1001])
def test_a_batch_that_is_none_is_a_422(http: Face, batch: Any) -> None:
    refused(raw(http, "/v1/events", json.dumps({"events": batch})), "events")


def test_an_event_of_a_pin_that_nobody_knows_is_stored_and_said(http: Face, world: Opened) -> None:
    known = int(world.new_process().catalogs.current.graph.pin_ids.ids_of([3])[0])
    batch = [event(event_id="new", pin_id=123), event(event_id="known", pin_id=known)]
    assert http.post("/v1/events", json={"events": batch}).json()["not_in_graph"] == [123]


def any_json() -> st.SearchStrategy[Any]:
    text = st.text(st.characters(), max_size=20)
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | text
    return st.recursive(leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4))


@pytest.mark.fuzz
@given(data=st.data())
@settings(max_examples=examples(120), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_is_a_500_and_no_good_request_suffers(http: Face, world: Opened, data: st.DataObject) -> None:
    """Any value in any field of any endpoint, and any JSON at all."""
    fields = ["user_id", "query_pins", "exclude", "locale", "limit", "explain", "order", "experiment", "at", "x"]
    body = data.draw(any_json() | st.dictionaries(st.sampled_from(fields), any_json(), max_size=3))
    answer = raw(http, FEED, json.dumps(body))
    assert answer.status_code in (200, 400, 422), (answer.status_code, body)
    assert answer.status_code == 200 or len(answer.text) < ANSWER
    bad = data.draw(any_json() | st.dictionaries(st.sampled_from([*event(), "client", "request_id"]), any_json()))
    merged = {**event(event_id="m"), **bad} if isinstance(bad, dict) else bad
    answer = raw(http, "/v1/events", json.dumps({"events": [merged]}))
    assert answer.status_code == 200, (answer.status_code, merged)
    answer = http.post(FEED, json={"user_id": some_user(world), "limit": 3})
    assert len(answer.json()["pins"]) == 3


def test_after_all_of_it_every_answer_and_event_is_in_the_log(http: Face, world: Opened) -> None:
    before = http.get("/readyz").json()["serving_log"]
    http.post("/v1/logs/flush")
    health = http.get("/readyz").json()["serving_log"]
    assert health["quarantined"] == 0
    assert health["dropped"] == 0
    assert health["waiting"] == 0
    assert health["written"] >= before["written"]
    assert world.new_process().logs.serving_files().rows == health["written"]


@pytest.mark.parametrize("path", [FEED, "/v1/events"])
@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_does_not_say_that_it_is_json_is_told_the_header_to_send(
    http: Face, path: str, kind: str | None
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    refused(http._call("POST", path, content='{"user_id": 1}', headers=headers), "with the header `content-type: ")
