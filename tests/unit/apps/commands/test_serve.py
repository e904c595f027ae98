"""The request that `serve` prints: for a client that the project has, in the form that this client takes."""

import json
import shlex
from typing import Any

import pytest

from apps.commands.serve import curl_line, first_client
from cluster.settings.clients import Client
from serving.http.api import RecommendationRequest


def client(name: str, source: str, **more: Any) -> Client:
    return Client.model_validate({"name": name, "query": {"source": source}, **more})


@pytest.mark.parametrize(
    ("source", "user", "body"),
    [
        ("user", 7, {"user_id": 7}),
        ("request", 7, {"user_id": 7, "query_pins": [{"pin_id": 11}]}),
        ("both", 7, {"user_id": 7, "query_pins": [{"pin_id": 11}]}),
        ("user", None, {"query_pins": [{"pin_id": 11}]}),
    ],
)
def test_the_body_fits_the_clients_walks(source: str, user: int | None, body: dict[str, Any]) -> None:
    words = shlex.split(curl_line("http://127.0.0.1:8000", client("mine", source), user, 11))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8000/v1/mine/recommendations"]
    sent = json.loads(words[-1])
    assert sent == {**body, "explain": True}
    assert RecommendationRequest.model_validate(sent).explain


def test_ids_with_quotes_survive_the_shell() -> None:
    words = shlex.split(curl_line("http://h", client("mine", "request"), 'o\'neil "x"', "a[x] ü"))
    sent = json.loads(words[-1])
    assert (sent["user_id"], sent["query_pins"][0]["pin_id"]) == ('o\'neil "x"', "a[x] ü")


def test_a_key_is_read_from_its_variable() -> None:
    assert ' -H "x-api-key: $MINE_KEY"' in curl_line("http://h", client("mine", "user", api_key_env="MINE_KEY"), 1, 2)
    assert "x-api-key" not in curl_line("http://h", client("mine", "user"), 1, 2)


def test_a_client_that_walks_from_users_is_shown_first() -> None:
    ads, home = client("ads", "both"), client("home", "user")
    assert first_client({"ads": ads, "home": home}) is home
    assert first_client({"ads": ads}) is ads
