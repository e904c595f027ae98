"""Keys, their clients, their rates and their ends; and files of keys that change under a server."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st

from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.errors import ConfigError
from cluster.settings.access import AccessSettings
from cluster.settings.clients import Client
from serving.http import keyring
from serving.http.auth import Authorizer
from serving.http.buckets import Bucket
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world
from tests.worlds.keys import KeyFiles

CLIENTS = {name: Client(name=name) for name in ("homefeed", "ads")}


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return KeyFiles(tmp_path)


@pytest.fixture(autouse=True)
def no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test says when a file is read again."""
    monkeypatch.setattr(keyring, "LOOK_SECONDS", 3600.0)


def status(authorizer: Authorizer, scope: Any, client: str | None, key: str) -> int:
    try:
        authorizer.admit(scope, client, key.encode())
    except HTTPException as error:
        return error.status_code
    return 200


def test_without_keys_all_is_open() -> None:
    authorizer = Authorizer(AccessSettings(), CLIENTS)
    assert authorizer.open
    assert status(authorizer, "admin", None, "") == 200
    assert authorizer.shows_inside(b"")


def test_a_file_without_keys_lets_nobody_in(files: KeyFiles) -> None:
    authorizer = Authorizer(files.access, CLIENTS)
    assert not authorizer.open
    assert [status(authorizer, scope, None, "") for scope in ("recommend", "events", "admin")] == [401, 401, 401]
    assert not authorizer.shows_inside(b"")


def test_a_key_of_some_clients_is_for_no_other(files: KeyFiles) -> None:
    ours = files.add("ours", "recommend", "events", clients=["homefeed"])
    everyones = files.add("everyones", "recommend")
    authorizer = Authorizer(files.access, CLIENTS)
    assert status(authorizer, "recommend", "homefeed", ours) == 200
    assert status(authorizer, "recommend", "ads", ours) == 403
    assert status(authorizer, "recommend", "no such client", ours) == 403
    assert status(authorizer, "recommend", "ads", everyones) == 200
    caller = authorizer.admit("events", None, ours.encode())
    assert (caller.may_name("homefeed"), caller.may_name("ads")) == (True, False)


def test_keys_overlap_while_callers_change_over(files: KeyFiles) -> None:
    old = files.add("old", "admin", not_after=datetime.now(UTC) + timedelta(days=1))
    authorizer = Authorizer(files.access, CLIENTS)
    new = files.add("new", "admin")
    assert status(authorizer, "admin", None, new) == 401
    authorizer.keys.read_again()
    assert (status(authorizer, "admin", None, old), status(authorizer, "admin", None, new)) == (200, 200)
    files.remove("old")
    authorizer.keys.read_again()
    assert (status(authorizer, "admin", None, old), status(authorizer, "admin", None, new)) == (401, 200)


def test_a_key_ends_by_itself(files: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    end = datetime(2100, 1, 1, tzinfo=UTC)
    key = files.add("year", "admin", not_after=end)
    authorizer = Authorizer(files.access, CLIENTS)
    for seconds, told in ((-0.001, 200), (0.0, 401), (1.0, 401)):
        monkeypatch.setattr(keyring.time, "time", lambda seconds=seconds: end.timestamp() + seconds)
        assert status(authorizer, "admin", None, key) == told


def test_a_file_that_does_not_parse_changes_nothing_and_is_told(files: KeyFiles) -> None:
    key = files.add("ops", "admin")
    authorizer = Authorizer(files.access, CLIENTS)
    whole = files.path.read_text()
    for broken in ("keys: [", "keys: [{name: a}]", "", "keys: 5"):
        files.path.write_text(broken)
        authorizer.keys.read_again()
        assert status(authorizer, "admin", None, key) == 200
        assert "the keys of before still count" in authorizer.keys.problem
    files.path.unlink()
    authorizer.keys.read_again()
    assert "no such file" in authorizer.keys.problem
    files.path.write_text(whole)
    authorizer.keys.read_again()
    assert authorizer.keys.problem == ""


def test_calls_have_a_changed_file_read_behind_them(files: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "LOOK_SECONDS", 0.0)

    async def until_told(key: str, wanted: int) -> None:
        while status(authorizer, "admin", None, key) != wanted:
            await asyncio.sleep(0.001)

    authorizer = Authorizer(files.access, CLIENTS)
    key = files.add("ops", "admin")
    asyncio.run(until_told(key, 200))
    files.remove("ops")
    asyncio.run(until_told(key, 401))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes"),
        ({"sha256": "ab"}, "sha256"),
        ({"not_after": "2027-01-01T00:00:00"}, "not_after"),
        ({"per_second": 0}, "per_second"),
        ({"clients": []}, "clients"),
        ({"clients": ["homefed"]}, "did you mean 'homefeed'"),
        ({"name": "a b"}, "name"),
        ({"key": "x"}, "key: unknown key"),
    ],
    ids=str,
)
def test_a_bad_entry_is_named_by_its_field(files: KeyFiles, entry: dict[str, Any], says: str) -> None:
    files.add("ours", "admin", **entry)
    with pytest.raises(ConfigError, match=says):
        Authorizer(files.access, CLIENTS)


def test_names_and_keys_are_told_apart(files: KeyFiles) -> None:
    text = "keys:\n- &a {name: a, sha256: " + "a" * 64 + ", scopes: [admin]}\n- {<<: *a, SECOND}\n"
    for second, says in (("scopes: [events]", "two keys are named 'a'"), ("name: b", "there a second time")):
        files.path.write_text(text.replace("SECOND", second))
        with pytest.raises(ConfigError, match=says):
            Authorizer(files.access, CLIENTS)


def test_a_key_in_the_place_of_its_hash_is_not_shown(files: KeyFiles) -> None:
    key = files.add("ours", "admin")
    files.path.write_text(f"keys: [{{name: ours, sha256: {key}, scopes: [admin]}}]")
    with pytest.raises(ConfigError, match="sha256") as caught:
        Authorizer(files.access, CLIENTS)
    assert key[4:12] not in str(caught.value)


def test_a_client_is_open_only_where_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_KEY", "secret")
    keyed = CLIENTS["homefeed"].model_copy(update={"api_key_env": "FEED_KEY"})
    with pytest.raises(ConfigError, match=r"client ads: it has no key and other clients have: .*`open: true`"):
        Authorizer(AccessSettings(), {"homefeed": keyed, "ads": CLIENTS["ads"]})
    authorizer = Authorizer(
        AccessSettings(), {"homefeed": keyed, "ads": CLIENTS["ads"].model_copy(update={"open": True})}
    )
    assert status(authorizer, "recommend", "ads", "") == 200
    assert status(authorizer, "recommend", "homefeed", "") == 401
    assert status(authorizer, "recommend", "homefeed", "secret") == 200
    assert status(authorizer, "events", None, "") == 401
    assert status(authorizer, "events", None, "secret") == 200
    assert status(authorizer, "admin", None, "secret") == 403


def test_open_and_keys_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="contradict"):
        AccessSettings(open=True, keys="keys.yaml")


def test_a_rate_is_told_with_when_to_come_back(files: KeyFiles) -> None:
    key = files.add("slow", "admin", per_second=0.25, burst=2)
    authorizer = Authorizer(files.access, CLIENTS)
    assert [status(authorizer, "admin", None, key) for _ in range(3)] == [200, 200, 429]
    with pytest.raises(HTTPException) as caught:
        authorizer.admit("admin", None, key.encode())
    assert 1 <= int((caught.value.headers or {})["Retry-After"]) <= 4


def test_processes_share_a_rate(files: KeyFiles) -> None:
    key = files.add("shared", "admin", per_second=0.001, burst=6)
    authorizer = Authorizer(files.access, CLIENTS, processes=3)
    assert [status(authorizer, "admin", None, key) for _ in range(3)] == [200, 200, 429]


@given(st.floats(0.1, 50), st.floats(1, 50), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_a_bucket_never_gives_more_than_its_burst_and_rate(rate: float, burst: float, pauses: list[float]) -> None:
    now = [0.0]
    bucket = Bucket(rate, burst, lambda: now[0])
    given_out = []
    for pause in pauses:
        now[0] += pause
        wait = bucket.take()
        if wait == 0.0:
            given_out.append(now[0])
            continue
        now[0] += wait * (1 + 1e-9) + 1e-9
        assert bucket.take() == 0.0, "it says when to come back"
        given_out.append(now[0])
    for at, first in enumerate(given_out):
        for more, last in enumerate(given_out[at:], 1):
            assert more <= burst + rate * (last - first) + 1e-6


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Face, str]]:
    folder = tmp_path_factory.mktemp("site")
    files = KeyFiles(folder)
    key = files.add("ours", "recommend", "events", clients=["homefeed"])
    world = opened_world(folder)
    with InProcess(Opened(world.project.model_copy(update={"access": files.access}), world.clients)) as app:
        yield Face(app.app), key


def test_nothing_of_a_body_is_read_for_who_has_no_key(site: tuple[Face, str]) -> None:
    face, key = site

    async def body() -> Any:
        read.append(1)
        yield b"{}"

    for sent, reads in (("", 0), (key, 1)):
        read: list[int] = []
        headers = {"x-api-key": sent, "content-type": "application/json"}
        face._call("POST", "/v1/homefeed/recommendations", content=body(), headers=headers)
        assert len(read) == reads


def test_an_event_of_a_client_that_the_key_is_not_for_is_refused_alone(site: tuple[Face, str]) -> None:
    face, key = site
    common = {"user_id": 1, "pin_id": 2, "action": "save", "occurred_at": "2026-01-04T00:00:00Z"}
    batch = [{**common, "event_id": str(row), "client": client} for row, client in enumerate(("homefeed", "ads", None))]
    receipt = face.post("/v1/events", {"events": batch}, {"x-api-key": key}).json()
    assert receipt["accepted"] == 2
    [refusal] = receipt["refused"]
    assert (refusal["row"], refusal["reason"]) == (1, "client: the key is not for this client")


def test_the_file_is_the_projects(tmp_path: Path) -> None:
    from cluster.settings.project import Project

    path = tmp_path / "pinfunnel.yaml"
    path.write_text("data: {edges: {path: e}}\naccess: {keys: secrets/keys.yaml}")
    assert Project.load(path).access.keys == os.path.join(tmp_path, "secrets", "keys.yaml")
