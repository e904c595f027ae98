"""What was shown is remembered over a restart: it is read from the serving log, as far back as the clients ask."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from apps.world.in_process import InProcess
from serving.logs.shown import shown_lately
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world, some_user


def test_answers_of_clients_that_ask_for_it(tmp_path: Path) -> None:
    world = opened_world(tmp_path)
    policy = world.clients["homefeed"].policy.model_copy(update={"seen_times": 1, "seen_hours": 48.0})
    world.clients["homefeed"] = world.clients["homefeed"].model_copy(update={"policy": policy})
    user = some_user(world)
    body = {"user_id": user, "at": "2026-01-05T12:00:00Z"}
    with InProcess(world, None) as inside:
        face = Face(inside.app)
        first = face.post("/v1/homefeed/recommendations", json=body).json()
        face.post("/v1/homefeed/recommendations", json={"at": "2026-01-05T12:00:00Z", "user_id": None})
        face.post("/v1/notifications/recommendations", json=body)
        later = face.post("/v1/homefeed/recommendations", json={**body, "at": "2026-01-05T13:00:00Z"}).json()
        pins = [pin["pin_id"] for pin in first["pins"]]
        assert not set(pins) & {pin["pin_id"] for pin in later["pins"]}, "what was shown once is not shown again"
    logs = world.new_process().logs
    now = datetime(2026, 1, 5, 14, tzinfo=UTC)
    found = shown_lately(logs, world.clients, now)
    assert [(who, one.client) for who, one in found] == [(user, "homefeed")] * 2
    assert sorted(found, key=lambda each: each[1].at)[0][1].pins == tuple(pins), "in the order of the answer"
    assert shown_lately(logs, world.clients, now + timedelta(days=3)) == []

    with InProcess(world, None) as inside:  # a restart
        assert inside._event_log is not None
        inside._event_log.note_shown(found)
        again = Face(inside.app).post("/v1/homefeed/recommendations", json={**body, "at": "2026-01-05T14:00:00Z"})
        assert not set(pins) & {pin["pin_id"] for pin in again.json()["pins"]}
