"""`pinfunnel evaluate sources --log` on served answers, against a count of the same answers one by one."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from apps.cli import app
from cluster.data.schema import IMPRESSED, RANKED, event_schema
from cluster.store.replays import REPLAYED
from serving.deploy.process import Process
from serving.logs.impressions import log_row, rows_to_table
from serving.request.answer import Answer
from tests.worlds.funnel import NOW, ask, opened_world

pytestmark = pytest.mark.usefixtures("ray_session")

CLIENT = "sources: {walk: 60, similar: 40, popular: 40}\nsizes: {walk: 60, lightweight: 30, answer: 8}\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Answer], set[tuple[str, int]]]:
    """A project with answers in its log, a replayed request beside them, and saves of some pins that were answered."""
    folder = tmp_path_factory.mktemp("pass")
    opened_world(folder)
    (folder / "clients").mkdir()
    (folder / "clients" / "homefeed.yaml").write_text(CLIENT)
    project = folder / "own.yaml"
    project.write_text((folder / "pinfunnel.yaml").read_text() + "\nclients: clients\n")
    from apps.project import open_project

    process = open_project(project).new_process()
    users = process.catalogs.current.users
    ids = [int(user) for user in users.ids.ids_of(np.arange(12, dtype=np.int32))]
    answers = [process.funnel.recommend_now(ask(user_id=user, seed=user)) for user in ids]
    rows = [row(process, answer, f"r{at}", "") for at, answer in enumerate(answers)]
    rows.append(row(process, answers[0], "again", REPLAYED))
    process.logs.write_serving(rows_to_table(rows, "int64", process.features), process.features)
    saved = {
        (f"r{at}", int(pin))
        for at, answer in enumerate(answers)
        for pin in answer.candidates.pin_ids[answer.shown][at % 3 :: 3]
    }
    process.logs.write_events(events(ids, saved))
    return project, answers, saved


def row(process: Process, answer: Answer, name: str, experiment: str) -> dict[str, Any]:
    return log_row(answer, name, process.features.schema_hash, experiment, None)


def events(users: list[int], saved: set[tuple[str, int]]) -> pa.Table:
    """A save each, twice, and a hide of the same pin, which is no liking."""
    at = datetime.fromtimestamp(NOW / 1e6, UTC) + timedelta(minutes=1)
    made = [
        {
            "user_id": users[int(request[1:])], "pin_id": pin, "action": action, "occurred_at": at, "received_at": at,
            "event_id": f"{request}-{pin}-{action}-{nth}", "request_id": request, "client": "homefeed",
        }
        for request, pin in sorted(saved)
        for nth, action in enumerate(("save", "save", "hide"))
    ]  # fmt: skip
    return pa.Table.from_pylist(made, event_schema("int64"))


def test_the_report_counts_what_was_served(
    served: tuple[Path, list[Answer], set[tuple[str, int]]], tmp_path: Path
) -> None:
    project, answers, saved = served
    out, page = tmp_path / "out.json", tmp_path / "page.html"
    arguments = ["evaluate", "sources", "--log", "-p", str(project), "--json", str(out), "--html", str(page)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "1 replayed requests left out" in " ".join(result.output.split())
    report = json.loads(out.read_text())["homefeed"]
    assert report["requests"] == len(answers)
    assert report["left_out"] == {"replayed": 1, "without_sources": 0}
    assert set(report["sources"]) == {"walk", "similar", "popular"}
    for name, told in {**report["sources"], "": report["all"]}.items():
        slow = dict.fromkeys(("found", "survived", "answered", "acted", "alone_found", "alone_acted"), 0)
        for at, answer in enumerate(answers):
            stage = answer.stage_reached()
            for one, pin in enumerate(answer.candidates.pin_ids.tolist()):
                by = [
                    n for n, rank in zip(answer.candidates.sources.names, ranks(answer, one), strict=True) if rank >= 0
                ]
                if name and name not in by:
                    continue
                liked = (f"r{at}", pin) in saved
                slow["found"] += 1
                slow["survived"] += int(stage[one] >= RANKED)
                slow["answered"] += int(stage[one] == IMPRESSED)
                slow["acted"] += liked
                slow["alone_found"] += by == [name] or (not name and len(by) == 1)
                slow["alone_acted"] += liked and (by == [name] or (not name and len(by) == 1))
        assert {figure: told[figure] for figure in slow} == slow
        assert told["passed"]["answered"]["mean"] == pytest.approx(slow["answered"] / slow["found"])
        assert told["of_all"]["acted"]["mean"] == pytest.approx(slow["acted"] / len(saved))
    assert 0 < report["all"]["acted"] == len(saved) < report["all"]["answered"]
    assert report["all"]["survived"] < report["all"]["found"]
    html = page.read_text()
    assert "<svg" in html
    assert "similar" in html


def ranks(answer: Answer, candidate: int) -> list[int]:
    found: list[int] = answer.candidates.sources.rank[candidate].tolist()
    return found


def test_options_of_the_other_report_are_refused(served: tuple[Path, list[Answer], set[tuple[str, int]]]) -> None:
    result = CliRunner().invoke(app, ["evaluate", "sources", "--log", "--min-history", "2", "-p", str(served[0])])
    assert result.exit_code == 1
    assert "--min-history: asks past moments again" in " ".join(result.output.split())
