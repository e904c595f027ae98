"""Experiments over HTTP: checked like the file, durable, followed without a restart, and told in answers and log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.experiments.assignment import arm_of
from cluster.experiments.definition import Experiment
from cluster.experiments.register import Register
from cluster.store.home import control_root
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import NOW, opened_world

BODY: dict[str, Any] = {
    "name": "shorter",
    "clients": ["homefeed"],
    "arms": {"control": {}, "treatment": {"set": {"sizes.answer": 7}}},
}


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


@pytest.fixture
def app(world: Opened) -> Iterator[InProcess]:
    with InProcess(world) as made:
        yield made


def asked(face: Face, user: int | None, **changes: Any) -> Any:
    body = {"user_id": user, "at": "2026-01-05T12:00:00Z", **changes}
    return face.post("/v1/homefeed/recommendations", json=body).json()


def test_an_experiment_is_started_changed_and_stopped_without_a_restart(world: Opened, app: InProcess) -> None:
    face = Face(app.app)
    before = asked(face, 3)
    assert "experiments" not in before
    started = face.post("/v1/experiments", json=BODY)
    assert started.status_code == 200, started.text
    assert started.json()["experiment"]["arms"]["treatment"]["set"] == {"sizes.answer": 7}
    app.swap()
    experiment = Experiment.model_validate(BODY)
    for user in range(1, 12):
        answer = asked(face, user)
        arm = list(experiment.arms)[arm_of(experiment, user, NOW)]
        assert answer["experiments"] == [f"shorter/{arm}"]
        assert (len(answer["pins"]) == 7) == (arm == "treatment")
    assert "experiments" not in asked(face, None)
    assert "experiments" not in asked(face, 3, personalization=False)
    assert "experiments" not in asked(face, 3, order="visit_count")
    assert len(asked(face, 3, limit=4)["pins"]) == 4
    assert face.post("/v1/experiments", json={**BODY, "traffic": 0.000001}).status_code == 200
    app.swap()
    assert "experiments" not in asked(face, 3)
    assert face.post("/v1/experiments/shorter/stop").json()["stopped"]
    [kept] = face.get("/v1/experiments").json()["experiments"]
    assert kept["experiment"]["traffic"] == 0.000001
    assert Register(control_root(world.project.home)).running() == ()
    assert face.post("/v1/experiments/other/stop").status_code == 404


def test_exposure_and_time_are_logged(world: Opened, app: InProcess) -> None:
    face = Face(app.app)
    face.post("/v1/experiments", json={**BODY, "design": "interleaving", "arms": {"a": {}, "b": {}}})
    app.swap()
    answer = asked(face, 3)
    assert answer["experiments"] == ["shorter/a", "shorter/b"]
    asked(face, None)
    app.flush()
    files = list(Path(world.project.home).rglob("logs/serving/**/*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    logged = {row["user_id"]: row for row in rows}
    assert logged[3]["exposure"] == ["shorter/a", "shorter/b"]
    shown = {at: team for at, team in zip(logged[3]["position"], logged[3]["team"], strict=True) if at >= 0}
    assert set(shown.values()) == {0, 1}
    assert logged[None]["exposure"] == []
    assert logged[None]["team"] == []
    assert all(row["milliseconds"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"traffic": 0}, "traffic"),
        ({"traffic": 1e-9}, "6 decimals"),
        ({"clients": ["nobody"]}, "unknown client 'nobody'"),
        ({"arms": {"c": {}}}, "arms"),
        ({"arms": {"c": {"weight": 0}, "t": {}}}, "weight"),
        ({"arms": {"c": {}, "t": {"set": {"sizes.answer": 5000}}}}, "a funnel narrows"),
        ({"arms": {"c": {}, "t": {"set": {"api_key_env": "HOME"}}}}, "arms may set"),
        ({"arms": {"c": {}, "t": {"set": {"sources.x": {"use": "os:system"}}}}}, "is not told over HTTP"),
        ({"arms": {"c": {}, "t": {"set": {"sources": {"x": {"use": "antigravity:X"}}}}}}, "is not told over HTTP"),
        ({"arms": {"c": {}, "t": {"set": {"sources.external": {"settings": {"url": "http://x"}}}}}}, "over HTTP"),
        ({"arms": {"c": {}, "t": {"set": {"sources.x": {"use": "external"}}}}}, "over HTTP"),
        ({"arms": {"c": {}, "t": {"versions": {"full": "../../../etc"}}}}, "versions"),
        ({"arms": {"c": {}, "t": {"versions": {"full": "20260101T000000-abcdef"}}}}, "is not stored"),
        ({"other": 1}, "other"),
        ({"name": "A/B"}, "name"),
    ],
)
def test_what_cannot_run_is_refused_and_starts_nothing(
    world: Opened, app: InProcess, changes: dict[str, Any], told: str
) -> None:
    refused = Face(app.app).post("/v1/experiments", json={**BODY, **changes})
    assert refused.status_code == 422
    assert told in refused.text
    assert Register(control_root(world.project.home)).running() == ()


def test_numbers_that_are_none_are_refused(app: InProcess) -> None:
    face = Face(app.app)
    for field in ('"traffic": NaN', '"start": -Infinity', '"arms": {"c": {}, "t": {"set": {"policy.diversity": NaN}}}'):
        text = '{"name": "e", "clients": ["homefeed"], "arms": {"c": {}, "t": {}}, ' + field + "}"
        refused = face._call("POST", "/v1/experiments", content=text, headers={"content-type": "application/json"})
        assert refused.status_code in (400, 422), refused.text


def test_a_change_that_reassigns_and_one_that_overlaps_are_refused(app: InProcess) -> None:
    face = Face(app.app)
    assert face.post("/v1/experiments", json={**BODY, "layer": "l", "traffic": 0.6}).status_code == 200
    other = face.post("/v1/experiments", json={**BODY, "name": "other", "layer": "l", "traffic": 0.5})
    assert other.status_code == 422
    assert "overlaps" in other.json()["detail"]
    changed = face.post("/v1/experiments", json={**BODY, "layer": "l", "salt": "x"})
    assert changed.status_code == 422
    assert "it runs with other salt" in changed.json()["detail"]
