"""Every endpoint of the OpenAPI document lets in who has its scope, and nobody else. A new endpoint is among them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from fastapi import APIRouter

from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.contract.api_keys import new_key
from cluster.settings.access import AccessSettings, Scope
from serving.http.auth import Authorizer
from serving.http.guard import SCHEME, STATUSES, for_everybody, guarded, needs
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world
from tests.worlds.keys import KeyFiles, document, operations

SCOPES = get_args(Scope)
OPERATIONS = operations()
NAMES = [f"{method} {path}" for path, method, _ in OPERATIONS]
PUBLIC = {"/healthz", "/readyz"}
"""What anybody may call. Whoever adds to it should know why."""


class Site:
    """The endpoints, with a key for each scope."""

    def __init__(self, folder: Path):
        files = KeyFiles(folder)
        self.keys = {scope: files.add(scope, scope) for scope in SCOPES}
        self.keys["ended"] = files.add("ended", *SCOPES, not_after="2020-01-01T00:00:00Z")
        world = opened_world(folder)
        self.opened = Opened(world.project.model_copy(update={"access": files.access}), world.clients)

    def call(self, face: Face, path: str, method: str, key: str | None) -> httpx.Response:
        headers = {} if key is None else {"x-api-key": key}
        path = path.replace("{client}", "homefeed")
        return face._call(method.upper(), path, content="not json", headers=headers)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def face(site: Site) -> Iterator[Face]:
    with InProcess(site.opened) as app:
        yield Face(app.app)


def scope_of(operation: dict[str, Any]) -> str | None:
    """The scope that the document names; None where it says that nobody needs a key."""
    security = operation["security"]
    if not security:
        return None
    [[scope]] = [need[SCHEME] for need in security]
    assert scope in SCOPES
    return scope


@pytest.mark.parametrize("held", SCOPES)
@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)
def test_only_the_scope_that_the_document_names_gets_in(
    site: Site, face: Face, path: str, method: str, operation: dict[str, Any], held: str
) -> None:
    scope = scope_of(operation)
    status = site.call(face, path, method, site.keys[held]).status_code
    if scope is None or scope == held:
        assert status not in (401, 403)
    else:
        assert status == 403


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)
def test_without_a_key_that_counts_nobody_gets_in(
    site: Site, face: Face, path: str, method: str, operation: dict[str, Any]
) -> None:
    assert (scope_of(operation) is None) == (path in PUBLIC)
    for key in (None, "", "x", new_key(), site.keys["ended"], site.keys["admin"][:-1], site.keys["admin"].upper()):
        answer = site.call(face, path, method, key)
        if path in PUBLIC:
            assert answer.status_code == 200
            assert set(answer.json()) <= {"status", "reasons"}, "the rest is for an admin"
        else:
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"]


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)
def test_the_document_names_every_status(path: str, method: str, operation: dict[str, Any]) -> None:
    told = {int(status) for status in operation["responses"]}
    assert told - {200} <= set(STATUSES)
    if scope_of(operation) is not None:
        assert told >= {200, 401, 403, 429}
    if "requestBody" in operation:
        assert told >= {400, 408, 413, 422}
    if "{client}" in path:
        assert 404 in told


def test_the_document_says_how_a_key_is_sent() -> None:
    scheme = document()["components"]["securitySchemes"][SCHEME]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "x-api-key")


def test_an_admin_sees_inside(site: Site, face: Face) -> None:
    for path, seen_by_all in [("/healthz", {"status"}), ("/readyz", {"status", "reasons"})]:
        told = face._call("GET", path, headers={"x-api-key": site.keys["admin"]}).json()
        assert told["home"] == site.opened.project.home
        assert set(face._call("GET", path, headers={"x-api-key": site.keys["events"]}).json()) == seen_by_all


def test_a_route_that_does_not_say_who_may_call_it_cannot_be_made() -> None:
    router = APIRouter(route_class=guarded(Authorizer(AccessSettings(), {})))
    with pytest.raises(TypeError, match="/v1/new: say who may call it"):
        router.add_api_route("/v1/new", lambda: None)
    router.add_api_route("/v1/new", lambda: None, **needs("admin"))
    router.add_api_route("/v1/other", lambda: None, **for_everybody())
