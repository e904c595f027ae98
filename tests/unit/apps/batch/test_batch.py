"""Answers of a batch are those of HTTP at the same moment; logged once, resumed, and one bad row costs one row."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from apps.batch.answerer import Answerer
from apps.batch.plan import BatchPlan, begin, digest_of, left
from apps.batch.run import known_states, run_batch
from apps.batch.subjects import read_subjects
from apps.cli import app
from apps.project import Opened
from apps.world.in_process import URL, InProcess
from cluster.control.choices import Choices
from cluster.errors import ConfigError, DataError
from cluster.experiments.assignment import arm_of
from cluster.experiments.definition import Experiment
from cluster.store.home import control_root
from tests.worlds.funnel import NOW, opened_world, publish_full, publish_lightweight

MOMENT = datetime.fromtimestamp(NOW / 1e6, UTC)
SILENT = 3
"""A user who wants nothing personal."""


def post(inside: InProcess, path: str, body: dict[str, Any]) -> Any:
    async def ask() -> Any:
        async with httpx.AsyncClient(transport=inside.transport, base_url=URL) as client:
            answer = await client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """With both rankers; users 1 to 5 did something lately, one of them hid a pin, one wants nothing personal."""
    opened = opened_world(tmp_path_factory.mktemp("world"))
    process = opened.new_process()
    for client in ("notifications", "related_pins"):
        publish_lightweight(process.store, process.features, client, "graph_rank")
    publish_full(process, opened.clients)
    Choices(control_root(opened.project.home, opened.project.control)).choose(SILENT, personalization=False)
    with InProcess(opened) as inside:
        events = [
            {"event_id": f"{user}-{pin}", "user_id": user, "pin_id": pin, "action": "hide" if pin == 7 else "save"}
            | {"occurred_at": (MOMENT - timedelta(minutes=pin)).isoformat()}
            for user in range(1, 6)
            for pin in (3, 7, 20 + user)
        ]
        post(inside, "/v1/events", {"events": events})
    return opened


def over_http(opened: Opened, client: str, bodies: list[dict[str, Any]]) -> list[tuple[list[int], list[float]]]:
    with InProcess(opened) as inside:
        answers = [post(inside, f"/v1/{client}/recommendations", {**body, "at": MOMENT.isoformat()}) for body in bodies]
    return [([pin["pin_id"] for pin in a["pins"]], [pin["score"] for pin in a["pins"]]) for a in answers]


def in_batch(opened: Opened, out: Path, client: str, kind: Any, ids: list[int], **options: Any) -> pa.Table:
    some = np.array(ids, np.int64)
    plan = begin(out, BatchPlan(client, kind, NOW, len(ids), digest_of(some), **options), True)
    run_batch(opened, plan, some, out, 1, lambda done, total: None)
    return pa.concat_tables([pq.read_table(path) for path in sorted(out.glob("*.parquet"))])


def test_users_get_what_http_gives_them(world: Opened, tmp_path: Path) -> None:
    users = [*range(1, 9), 10**12]
    table = in_batch(world, tmp_path / "out", "notifications", "user", users, piece=4)
    assert table["user_id"].to_pylist() == users
    answers = list(zip(table["pin_ids"].to_pylist(), table["scores"].to_pylist(), strict=True))
    assert answers == over_http(world, "notifications", [{"user_id": user} for user in users])
    assert len({tuple(pins) for pins, _ in answers}) > 5
    assert set(table["degraded"].to_pylist()) == {""}


def test_users_have_the_arms_that_http_gives_them_and_the_log_says_which(world: Opened, tmp_path: Path) -> None:
    register = world.new_process().experiments
    told = {"clients": ["notifications"], "arms": {"c": {}, "t": {"set": {"sizes.answer": 3}}}}
    experiment = Experiment.model_validate({"name": "short_mail", **told})
    register.start(experiment)
    users = [*range(1, 9)]
    table = in_batch(world, tmp_path / "out", "notifications", "user", users, experiment="armed")
    answers = list(zip(table["pin_ids"].to_pylist(), table["scores"].to_pylist(), strict=True))
    assert answers == over_http(world, "notifications", [{"user_id": user} for user in users])
    register.stop("short_mail")
    columns = ["user_id", "experiment", "exposure", "milliseconds"]
    files = [pq.read_table(path, columns=columns) for path in world.new_process().logs.serving_files().paths]
    rows = [row for file in files for row in file.to_pylist() if row["experiment"] == "armed"]
    arms = {user: ["c", "t"][arm_of(experiment, user, NOW)] for user in users if user != SILENT}
    assert {row["user_id"]: row["exposure"] for row in rows} == {
        None: [],
        **{user: [f"short_mail/{arm}"] for user, arm in arms.items()},
    }
    assert {row["milliseconds"] for row in rows} == {None}
    assert [len(pins) == 3 for pins, _ in answers] == [arms.get(user) == "t" for user in users]


def test_pins_get_what_http_gives_them(world: Opened, tmp_path: Path) -> None:
    pins = [1, 5, 9]
    table = in_batch(world, tmp_path / "out", "related_pins", "pin", pins, limit=4)
    answers = list(zip(table["pin_ids"].to_pylist(), table["scores"].to_pylist(), strict=True))
    bodies = [{"query_pins": [{"pin_id": pin}], "limit": 4} for pin in pins]
    assert answers == over_http(world, "related_pins", bodies)
    assert all(len(some) == 4 for some, _ in answers)


def test_each_answer_is_logged_once_by_its_request_id_though_it_was_answered_twice(
    world: Opened, tmp_path: Path
) -> None:
    users = [1, 2, SILENT, 4]
    table = in_batch(world, tmp_path / "out", "notifications", "user", users, piece=2, experiment="mail")
    (tmp_path / "out" / "part-000001.parquet").unlink()
    again = in_batch(world, tmp_path / "out", "notifications", "user", users, piece=2, experiment="mail")
    assert again.equals(table)
    columns = ["request_id", "user_id", "experiment"]
    files = [pq.read_table(path, columns=columns) for path in world.new_process().logs.serving_files().paths]
    rows = [row for file in files for row in file.to_pylist() if row["experiment"] == "mail"]
    mine = {row["request_id"]: row["user_id"] for row in rows}
    assert len(rows) == 6
    wanted = dict(zip(table["request_id"].to_pylist(), [1, 2, None, 4], strict=True))
    assert mine == wanted, "the log names nobody who wants nothing personal"


def test_one_subject_that_fails_costs_its_own_answer_only(
    world: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Answerer._answer

    def broken(self: Answerer, one: Any, request_id: str) -> Any:
        if one == 2:
            raise ValueError("odd user")
        return answer(self, one, request_id)

    monkeypatch.setattr(Answerer, "_answer", broken)
    table = in_batch(world, tmp_path / "out", "notifications", "user", [1, 2, 4])
    assert [len(pins) > 0 for pins in table["pin_ids"].to_pylist()] == [True, False, True]
    assert table["degraded"].to_pylist() == ["", "ValueError: odd user", ""]


def test_a_folder_belongs_to_one_batch(tmp_path: Path) -> None:
    plan = BatchPlan("notifications", "user", NOW, 3, "abc")
    first = begin(tmp_path / "out", plan, False)
    assert first.salt
    later = BatchPlan("notifications", "user", NOW + 1, 3, "abc")
    assert begin(tmp_path / "out", later, at_given=False) == first, "it goes on with its own moment"
    others = [(later, True), (BatchPlan("ads", "user", NOW, 3, "abc"), False)]
    others += [(BatchPlan("notifications", "user", NOW, 3, "other"), False)]
    for other, given in others:
        with pytest.raises(ConfigError, match="another batch"):
            begin(tmp_path / "out", other, given)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="not empty"):
        begin(tmp_path / "full", plan, False)
    (tmp_path / "out" / "batch.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        begin(tmp_path / "out", plan, False)


def test_ids_are_read_each_once_and_bad_rows_are_named(world: Opened, tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": pa.array([4, None, 4, 9], pa.int64())}), tmp_path / "users.parquet")
    found = read_subjects(world.project, tmp_path / "users.parquet", "user")
    assert (found.ids.tolist(), found.repeated, len(found.bad)) == ([4, 9], 1, 1)
    assert "row 1" in found.bad[0]
    (tmp_path / "users.txt").write_text("4\nx\n9\n4\n")
    found = read_subjects(world.project, tmp_path / "users.txt", "user")
    assert (found.ids.tolist(), found.repeated) == ([4, 9], 1)
    assert "line 2" in found.bad[0]
    pq.write_table(pa.table({"other": [1]}), tmp_path / "wrong.parquet")
    with pytest.raises(DataError, match="user_id"):
        read_subjects(world.project, tmp_path / "wrong.parquet", "user")
    pq.write_table(pa.table({"user_id": pa.array([None], pa.int64())}), tmp_path / "none.parquet")
    with pytest.raises(DataError, match="row 0"):
        read_subjects(world.project, tmp_path / "none.parquet", "user")


def test_no_state_is_left_behind(world: Opened) -> None:
    plan = BatchPlan("notifications", "user", NOW, 1, "x")
    with known_states(world, plan) as folder:
        assert folder is not None
        assert folder.is_dir()
    assert list((Path(world.project.local_home) / "batch").iterdir()) == []


def test_the_command_answers_resumes_and_says_what_it_left_out(world: Opened, tmp_path: Path) -> None:
    project = Path(world.project.home).parent / "pinfunnel.yaml"
    (tmp_path / "users.txt").write_text("1\n2\nx\n")
    told = ["--client", "notifications", "--users", str(tmp_path / "users.txt"), "--out", str(tmp_path / "out")]
    command = ["recommend", *told, "--at", MOMENT.isoformat(), "--project", str(project)]
    result = CliRunner().invoke(app, [*command, "--json", str(tmp_path / "done.json")])
    assert result.exit_code == 0, result.output
    assert "LEFT OUT: 1 row(s)" in result.output
    assert json.loads((tmp_path / "done.json").read_text())["answered"] == 2
    assert (
        left(
            tmp_path / "out",
            begin(tmp_path / "out", BatchPlan("notifications", "user", NOW, 2, digest_of(np.array([1, 2]))), True),
        )
        == []
    )
    result = CliRunner().invoke(app, command)
    assert "all 2 answers are there already" in " ".join(result.output.split())
    told = ["--pins", str(tmp_path / "users.txt"), "--out", str(tmp_path / "new"), "--project", str(project)]
    wrong = CliRunner().invoke(app, ["similar", *told, "--client", "notifications"])
    assert wrong.exit_code == 1
    assert "pinfunnel recommend" in wrong.output
    assert not (tmp_path / "new").exists()
