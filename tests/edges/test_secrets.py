"""A key that is sent, wherever it is put by mistake, is in no answer that refuses it and in no line of any log."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.contract.api_keys import PREFIX, new_key, without_keys
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world
from tests.worlds.keys import KeyFiles

FEED = "/v1/homefeed/recommendations"
SHOWN = 6
"""Characters of a key behind its prefix that nobody may see in a row."""


class Site:
    """The endpoints behind keys."""

    def __init__(self, folder: Path):
        files = KeyFiles(folder)
        self.keys = {
            "good": files.add("good", "recommend", "events"),
            "slow": files.add("slow", "recommend", per_second=1e-3),
            "ended": files.add("ended", "recommend", not_after="2020-01-01T00:00:00Z"),
            "unknown": new_key(),
        }
        world = opened_world(folder)
        self.opened = Opened(world.project.model_copy(update={"access": files.access}), world.clients)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def face(site: Site) -> Iterator[Face]:
    with InProcess(site.opened) as app:
        yield Face(app.app)


def calls(key: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and options of calls with the key in a header, the URL, the body, and where else it may land."""
    header = {"x-api-key": key}
    as_json = {"content-type": "application/json"}
    yield "POST", FEED, {"json": {}, "headers": header}
    yield "GET", "/v1/models", {"headers": header}
    yield "GET", "/v1/models", {"headers": {"authorization": f"Bearer {key}"}}
    yield "GET", "/healthz", {"headers": header}
    yield "GET", "/readyz", {"headers": header}
    yield "GET", f"/v1/models?x-api-key={key}", {}
    yield "GET", f"/{key}", {"headers": header}
    yield "POST", f"/v1/{key}/recommendations", {"json": {}, "headers": header}
    yield "POST", f"{FEED}?key={key}", {"content": key, "headers": header}
    for body in (
        {"user_id": key},
        {"query_pins": [{"pin_id": key}]},
        {"exclude": [key]},
        {"x-api-key": key},
        {key: 1},
        {"order": key},
        {"at": key},
        {"experiment": key * 2},
        {"filter": {"attribute": key, "==": 1}},
    ):
        yield "POST", FEED, {"json": body, "headers": header}
    yield "POST", FEED, {"content": f'{{"user_id": "{key}', "headers": {**header, **as_json}}
    event = {"event_id": key, "user_id": key, "pin_id": key, "action": key, "client": key, "occurred_at": key}
    good = {"event_id": "e", "user_id": 1, "pin_id": 2, "action": "save", "occurred_at": "2026-01-04T00:00:00Z"}
    for field in event:
        yield "POST", "/v1/events", {"json": {"events": [{**good, field: key}]}, "headers": header}
    yield "POST", "/v1/events", {"json": {"events": [event, {key: key}, key]}, "headers": header}


@pytest.mark.parametrize("kind", ["good", "slow", "ended", "unknown"])
def test_no_key_is_told(site: Site, face: Face, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    caplog.set_level(logging.DEBUG)
    key = site.keys[kind]
    piece = key[len(PREFIX) : len(PREFIX) + SHOWN]
    statuses = set()
    for method, path, options in calls(key):
        answer = face._call(method, path, **options)
        statuses.add(answer.status_code)
        assert answer.status_code < 500
        assert piece not in answer.text, (method, options)
        assert piece not in json.dumps(dict(answer.headers)) or answer.is_redirect
    assert statuses >= {"good": {200, 422}, "slow": {429}}.get(kind, {401})
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert not [line for line in ours if piece in line.getMessage()], "httpx is the caller's side"


def test_text_around_a_key_stays() -> None:
    key = new_key()
    assert without_keys(f"a {key}, b {key[:15]} c") == f"a {PREFIX}..., b {PREFIX}... c"
    assert without_keys("a pfk_ b") == "a pfk_ b"
