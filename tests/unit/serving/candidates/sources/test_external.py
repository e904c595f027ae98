"""The source `external` against services that answer well, slowly, too much, or not at all; and the page's own."""

import json
import logging
import re
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from apps.project import Opened
from cluster.attributes.filters import Between
from cluster.errors import ConfigError, DataError
from cluster.settings.clients import Client
from serving.candidates.generator import make_generator
from serving.candidates.query import Query
from serving.candidates.sources import external
from serving.candidates.sources.external import ExternalOptions, ExternalService
from serving.candidates.stage import CandidatesLogic
from serving.deploy.process import Process
from serving.request.deadline import Deadline
from tests.worlds.filters import filtered_world
from tests.worlds.funnel import ask, some_user
from tests.worlds.services import Reply, handler_of, send, served

PAGE = Path(__file__).parents[5] / "docs" / "extend" / "external.md"
PATIENT = Deadline(float("inf"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return filtered_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def stage(world: Opened) -> CandidatesLogic:
    return CandidatesLogic(world.new_process().catalogs, world.clients, 32)


@pytest.fixture
def query(world: Opened, stage: CandidatesLogic) -> Query:
    return stage.query(ask(user_id=some_user(world)))


def _source(url: str, **settings: Any) -> ExternalService:
    return ExternalService(ExternalOptions(url=url, **{"timeout_ms": 20_000, **settings}))


def _all_pins(query: Query) -> list[dict[str, Any]]:
    """Every pin of the graph, scored by its index."""
    ids = query.catalog.graph.pin_ids.ids_of(np.arange(query.catalog.graph.n_pins)).tolist()
    return [{"pin_id": pin, "score": at} for at, pin in enumerate(ids)]


def test_it_is_asked_all_and_the_best_that_may_be_shown_are_kept(world: Opened, stage: CandidatesLogic) -> None:
    seen: list[dict[str, Any]] = []
    query = stage.query(ask(user_id=some_user(world), filter=Between("image_quality", low=0.6), exclude=(3, 4)))

    def reply(http: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        seen.append(asked)
        send(http, json.dumps({"pins": _all_pins(query)}).encode())

    with served(handler_of(reply)) as url:
        found = _source(url).generate(query, 30, PATIENT)
    free = query.may_show()
    free[query.pins] = False
    assert found.pins.tolist() == np.flatnonzero(free)[::-1][:30].tolist()
    assert found.score.tolist() == found.pins.tolist()
    (asked,) = seen
    assert (asked["client"], asked["user_id"], asked["limit"]) == ("homefeed", some_user(world), 30)
    ids = query.catalog.graph.pin_ids.ids_of(query.pins).tolist()
    assert [pin["pin_id"] for pin in asked["query_pins"]] == ids
    assert [pin["weight"] for pin in asked["query_pins"]] == pytest.approx(query.weight.tolist())
    assert asked["locale"] in query.catalog.pins.vocabulary.locales
    assert asked["at"] == "2026-01-05T12:00:00+00:00"
    assert set(asked["exclude"]) >= {3, 4}


def test_no_more_is_excluded_than_is_promised(query: Query, stage: CandidatesLogic) -> None:
    many = stage.query(ask(user_id=None, exclude=tuple(range(10_000, 15_000))))
    asked = external.question(many, 5)
    assert len(asked["exclude"]) == external.EXCLUDED
    assert asked["user_id"] is None
    assert asked["locale"] is None
    assert asked["query_pins"] == []


def test_unknown_pins_are_left_out_and_counted(query: Query, caplog: pytest.LogCaptureFixture) -> None:
    pins = [{"pin_id": 10**12 + at, "score": 99} for at in range(5)]
    pins += [pin for pin in _all_pins(query) if pin["score"] == np.flatnonzero(query.may_show())[-1]]

    def reply(http: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        send(http, json.dumps({"pins": pins * 2}).encode())

    with served(handler_of(reply)) as url, caplog.at_level(logging.WARNING):
        found = _source(url).generate(query, 30, PATIENT)
    assert len(found.pins) == 1, "and a pin that is named twice counts once"
    assert "named 10 pins so far that are not in the graph" in caplog.text


def test_connections_are_kept(query: Query) -> None:
    ports: list[int] = []

    def reply(http: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        ports.append(http.client_address[1])
        send(http, b'{"pins": []}')

    with served(handler_of(reply)) as url:
        source = _source(url)
        for _ in range(4):
            source.generate(query, 5, PATIENT)
    assert len(ports) == 4
    assert len(set(ports)) == 1


def _hang(http: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
    time.sleep(3)
    http.close_connection = True


def _drip(http: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
    http.send_response(200)
    http.send_header("content-length", "1000")
    http.end_headers()
    http.close_connection = True
    for _ in range(60):
        try:
            http.wfile.write(b" ")
        except OSError:
            return
        time.sleep(0.05)


@pytest.mark.parametrize("reply", [_hang, _drip])
@pytest.mark.parametrize("how", ["setting", "deadline"])
def test_a_slow_service_is_given_up(query: Query, reply: Reply, how: str) -> None:
    patience = {"timeout_ms": 200} if how == "setting" else {}
    with served(handler_of(reply)) as url, pytest.raises((TimeoutError, httpx.TimeoutException)):
        _source(url, **patience).generate(query, 5, PATIENT if how == "setting" else Deadline.after(0.2))


def test_without_time_it_is_not_asked(query: Query) -> None:
    with pytest.raises(TimeoutError, match="no time left"):
        _source("http://127.0.0.1:1/x").generate(query, 5, Deadline.after(-1.0))


def _large(http: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
    http.send_response(200)
    http.send_header("content-length", str(1 << 30))
    http.end_headers()
    http.close_connection = True
    try:
        for _ in range(1 << 10):
            http.wfile.write(b" " * (1 << 20))
    except OSError:
        return


BAD: dict[str, tuple[Reply, str]] = {
    "an error": (lambda http, _: send(http, b"{}", 500), "status 500"),
    "a redirect": (lambda http, _: send(http, b"", 302, location="http://127.0.0.1:1/"), "status 302"),
    "no JSON": (lambda http, _: send(http, b"<html>"), "not JSON"),
    "no list": (lambda http, _: send(http, b"[]"), 'no list "pins"'),
    "compressed": (lambda http, _: send(http, b"{}", content_encoding="gzip"), "compressed"),
    "endless": (_large, "longer than 8388608 bytes"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_answer_is_an_error_that_says_so(query: Query, bad: str) -> None:
    reply, message = BAD[bad]
    with served(handler_of(reply)) as url, pytest.raises(DataError, match=message):
        _source(url).generate(query, 5, PATIENT)


def test_headers_come_from_the_environment(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def reply(http: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        seen.append(http.headers["authorization"])
        send(http, b'{"pins": []}')

    monkeypatch.setenv("SHOP_TOKEN", "Bearer s3cret")
    with served(handler_of(reply)) as url:
        _source(url, headers={"authorization": "SHOP_TOKEN"}).generate(query, 5, PATIENT)
    assert seen == ["Bearer s3cret"]
    monkeypatch.delenv("SHOP_TOKEN")
    with pytest.raises(ConfigError, match=r"headers\.authorization: the environment variable 'SHOP_TOKEN' is not set"):
        _source("http://127.0.0.1:1/x", headers={"authorization": "SHOP_TOKEN"}).prepare(query.catalog)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "url: Field required"),
        ({"url": "ftp://host/x"}, "a URL like http://host:8080/candidates"),
        ({"url": "file:///etc/passwd"}, "a URL like"),
        ({"url": "http://"}, "a URL like"),
        ({"url": "http://host:99999/"}, "a URL like"),
        ({"url": "http://me:secret@host/"}, "no name or password"),
        ({"url": "http://host/", "timeout": 5}, "timeout: unknown key; did you mean 'timeout_ms'"),
        ({"url": "http://host/", "timeout_ms": 0}, "timeout_ms"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    client = Client.model_validate({"name": "shop", "sources": {"mine": {"use": "external", "settings": settings}}})
    with pytest.raises(ConfigError, match=re.escape(message)) as raised:
        make_generator(client, "mine", client.sources["mine"])
    assert "sources.mine.settings" in str(raised.value)


def test_the_pages_service_is_in_the_answers(world: Opened) -> None:
    text = PAGE.read_text(encoding="utf-8")
    code, line = (re.findall(rf"```{kind}\n(.*?)```", text, re.S)[0] for kind in ("python", "yaml"))
    written: dict[str, Any] = {"__name__": "editors"}
    exec(code, written)
    process = world.new_process()
    free = CandidatesLogic(process.catalogs, world.clients, 32).query(ask(user_id=some_user(world)))
    may = np.flatnonzero(free.keeps(np.arange(free.catalog.graph.n_pins)))
    written["CHOICE"][:] = process.catalogs.current.graph.pin_ids.ids_of(may[:3]).tolist()
    with served(written["Editors"]) as url:
        raw = yaml.safe_load(line)["sources"]
        raw["editors"]["settings"] = {**raw["editors"]["settings"], "url": url, "timeout_ms": 20_000}
        client = world.clients["homefeed"].model_validate({"name": "homefeed", "sources": raw})
        answer = Process(world.project, {"homefeed": client}).funnel.recommend_now(ask(user_id=some_user(world)))
    assert answer.degraded == ""
    column = answer.candidates.sources.names.index("editors")
    rank = answer.candidates.sources.rank[:, column]
    assert {int(pin): int(at) for pin, at in zip(answer.candidates.pins, rank, strict=True) if at >= 0} == {
        int(pin): at for at, pin in enumerate(may[:3])
    }
