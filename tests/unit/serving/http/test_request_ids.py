"""Which `x-request-id` is taken, and what is said of others."""

import pytest
from fastapi import APIRouter

from serving.http.app import create_app
from serving.http.request_lines import RequestLines
from tests.unit.serving.http.faces import Face


@pytest.fixture
def face() -> Face:
    router = APIRouter()
    router.add_api_route("/", lambda: {"here": True})
    return Face(create_app(router, 1024, lambda: None, RequestLines(0.0)))


@pytest.mark.parametrize("sent", ["a", "6f0c1c2e-8a4f-4a9b-9d3e-3f6c2b1a0d9e", "x" * 200, "Root=1-5;{\"\\'}"])
def test_any_visible_ascii_of_bounded_length_is_taken(face: Face, sent: str) -> None:
    assert face.post("/", headers={"x-request-id": sent}).status_code == 405
    assert face.get("/").status_code == 200


@pytest.mark.parametrize("sent", ["", "x" * 201, "a b", "a\tb", "\u00e9".encode(), b"\x7f"])
def test_others_are_refused_by_name_and_not_echoed(face: Face, sent: str | bytes) -> None:
    answer = face.post("/", headers={"x-request-id": sent})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["header", "x-request-id"]
    assert "xxx" not in answer.text
