"""A server without keys on this machine answers to localhost and the names it is told, and to no others."""

from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from cluster.settings.access import AccessSettings
from cluster.settings.clients import Client
from cluster.settings.project import DataSettings, Project, Source
from serving.http.routes import Ingress
from tests.unit.serving.http.faces import Face
from tests.worlds.keys import KeyFiles

NOTHING = cast(Any, None)


def app(access: AccessSettings, loopback: bool = True, **client: Any) -> FastAPI:
    project = Project(data=DataSettings(edges=Source(path="none")), access=access)
    clients = {"homefeed": Client(name="homefeed", **client)}
    return Ingress(project, clients, NOTHING, NOTHING, NOTHING, "", NOTHING, loopback=loopback).app()


def call(app: FastAPI, host: str) -> httpx.Response:
    return Face(app).post("/v1/other/recommendations", json={}, headers={"host": host})


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8000", "127.0.0.1:8000", "127.0.0.9", "[::1]:8000", "funnel.test", "Funnel.test:1"]
)
def test_it_answers_to_names_of_its_own(host: str) -> None:
    assert call(app(AccessSettings(hosts=("Funnel.test",))), host).status_code == 404, "of the unknown client"


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:8000",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "10.0.0.1",
        "0.0.0.0",
        "",
        "[",
        "a:b",
    ],
)
def test_by_another_name_nothing_is_told_but_what_to_do(host: str) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/"):
        with_key = Face(app(AccessSettings()))._call("GET", path, headers={"host": host})
        assert with_key.status_code == 421
    answer = call(app(AccessSettings()), host)
    assert answer.status_code == 421
    assert "name it in `access.hosts`, or have keys" in answer.json()["detail"]
    assert len(answer.text) < 300


def test_where_calls_need_keys_or_everybody_may_any_name_will_do(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser does not know the key; and a proxy passes on the name that it has itself."""
    monkeypatch.setenv("KEY", "secret")
    files = KeyFiles(tmp_path)
    assert call(app(files.access), "evil.test").status_code == 401
    assert call(app(AccessSettings(), api_key_env="KEY"), "evil.test").status_code == 401
    assert call(app(AccessSettings(open=True)), "evil.test").status_code == 404
    assert call(app(AccessSettings(), loopback=False), "evil.test").status_code == 404
    assert call(app(files.access, open=True), "evil.test").status_code == 421, "of a client that needs no key"
