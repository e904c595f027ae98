"""`pinfunnel experiment report`, `power`, `explored`: what they print and write, and one clear line for each fault."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

from apps.cli import app
from apps.project import open_project
from cluster.data.schema import serving_schema
from cluster.experiments.register import Register
from cluster.features.assemble import FeatureSet
from cluster.store.home import control_root, logs_of
from tests.worlds.experiments import BEGIN, experiment_of, trial_world
from training.experiments.kept import kept_report

HORIZON = {"kind": "fixed", "days": 14}
FILE: dict[str, Any] = {
    "more": {"clients": ["homefeed"], "arms": {"control": {}, "treatment": {"set": {"sizes.explore": 1}}}},
    "later": {"clients": ["search"], "arms": {"a": {}, "b": {}}, "horizon": HORIZON},
    "by_time": {"clients": ["homefeed"], "design": "switchback", "arms": {"a": {}, "b": {}}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an experiment in its log, one that is only in the file, and one that was started and not met."""
    folder = tmp_path_factory.mktemp("site")
    path = folder / "pinfunnel.yaml"
    path.write_text("home: home\ndata: {edges: {path: edges}}\n")
    (folder / "experiments.yaml").write_text(yaml.safe_dump(FILE, sort_keys=False))
    opened = open_project(path)
    experiment = experiment_of()
    trial_world(folder / "home", experiment, effect=1.0, project=opened.project)
    register = Register(control_root(opened.project.home, opened.project.control))
    register.start(experiment)
    register.start(experiment_of("unmet", arms={"a": {}, "b": {}}))
    return path


def typed(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["experiment", *words, "--project", str(project)], env={"COLUMNS": "200"})


def refused(project: Path, *words: str) -> str:
    result = typed(project, *words)
    assert result.exit_code == 1, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_a_report_is_printed_written_and_kept(project: Path, tmp_path: Path) -> None:
    out, html = tmp_path / "report.json", tmp_path / "report.html"
    result = typed(project, "report", "more", "--json", str(out), "--html", str(html))
    assert result.exit_code == 0, result.output
    assert "treatment: better beyond doubt: save per user" in result.stdout
    assert "always valid" in result.stdout
    assert "sample ratio as expected" in result.stdout
    told = json.loads(out.read_text())
    assert told["verdicts"][0]["word"] == "better"
    assert {row["figure"] for row in told["lifts"]} >= {"save per user", "save per shown pin", "hide per user"}
    kept = kept_report(open_project(project).project, "more")
    assert kept is not None
    assert {**kept, "made": None} == {**told, "made": None}
    page = html.read_text()
    assert "better beyond doubt" in page
    assert page.count("<table>") == 3
    assert "http" not in page.replace("http-equiv", "")


def test_a_fixed_horizon_waits(project: Path) -> None:
    assert "has no requests of search" in refused(project, "report", "later")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("report", "mroe"), "no experiment is called 'mroe'; did you mean 'more'?; there are: unmet, more"),
        (("report", "unmet"), "no request of homefeed was exposed to it"),
        (("report", "later"), "the serving log has no requests of search"),
        (("report", "more", "--since", "tomorrow"), "--since: 'tomorrow' is no moment"),
        (("report", "more", "--since", "2030-01-01"), "no requests in the time asked for"),
        (("report", "more", "--until", "2020-01-01"), "has no requests of homefeed before 2020-01-01 00:00"),
        (("report", "more", "--carry-over", "5"), "--carry-over: for a switchback"),
        (("power",), "name an experiment, or give --client"),
        (("power", "by_time"), "power is reckoned for `design: users`"),
        (("power", "--client", "homefed"), "unknown client 'homefed'"),
        (("power", "--client", "homefeed", "--action", "buy"), "--action: unknown action 'buy'"),
        (("power", "--client", "search"), "has no requests of search"),
        (("explored", "--client", "homefeed"), "no request whose survivors were explored: set `sizes.explore`"),
        (("explored", "--client", "homefeed", "--order", "best"), "--order: unknown order 'best'"),
        (("explored", "--client", "search"), "client search: no logged requests"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(project: Path, words: tuple[str, ...], line: str) -> None:
    assert line in refused(project, *words)


def test_power_is_of_the_projects_own_log(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "power.json"
    result = typed(project, "power", "--client", "homefeed", "--traffic", "0.5", "--days", "3", "--json", str(out))
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())["rows"]
    assert [row["days"] for row in rows] == [1, 2, 3]
    assert rows[2]["users"] == pytest.approx(150, rel=0.05)
    assert 0 < rows[2]["smallest_cuped"] < rows[2]["smallest"]
    fixed = typed(project, "power", "more", "--days", "3", "--fixed", "--json", str(out))
    assert fixed.exit_code == 0, fixed.output
    assert json.loads(out.read_text())["rows"][2]["needed"] < 0.7 * rows[2]["needed"]


def test_explored_slots_are_valued_by_an_order(project: Path, tmp_path: Path) -> None:
    """Twenty users' answers of two pins, one of them drawn from three; the pin of the best score is always saved."""
    opened = open_project(project)
    rows = []
    events = []
    for at in range(120):
        drawn = 1 + at % 3
        stage = [1, 1, 1, 1]
        stage[0] = stage[drawn] = 2
        position = [-1] * 4
        position[0], position[drawn] = 0, 1
        rows.append(
            {
                "request_id": f"x{at}", "client": "ads", "user_id": at % 20, "requested_at": BEGIN, "degraded": "",
                "exposure": [], "pin_id": [1, 2, 3, 4], "stage": stage, "position": position,
                "explored": [row == drawn for row in range(4)], "explored_dropped": [], "explored_rate": 1 / 3,
                "visit_score": [9.0, 1.0, 3.0, 2.0], "lightweight_score": [None] * 4, "full_score": [None] * 4,
            }
        )  # fmt: skip
        if drawn == 2:
            events.append((at % 20, 3, "save", BEGIN, f"e{at}", f"x{at}", "ads", BEGIN))
    logs = logs_of(opened.project)
    logs.write_serving(pa.Table.from_pylist(rows, serving_schema("int64")), FeatureSet.of(opened.project.features))
    first = pq.read_table(logs.event_files().paths[0], partitioning=None)
    columns = [
        pa.array(list(values), of.type) for values, of in zip(zip(*events, strict=True), first.schema, strict=True)
    ]
    logs.write_events(pa.table(columns, schema=first.schema.remove_metadata()))
    out = tmp_path / "worth.json"
    result = typed(project, "explored", "--client", "ads", "--order", "visits", "--json", str(out))
    assert result.exit_code == 0, result.output
    told = json.loads(out.read_text())
    assert told["by visits, ips"]["value"] == pytest.approx(1.0)
    assert told["by visits, self_normalised"]["value"] == pytest.approx(1.0)
    assert told["by visits, doubly_robust"]["value"] == pytest.approx(1.0, abs=0.05)
    assert told["by chance"]["value"] == pytest.approx(1 / 3)
    assert told["by visits, ips"]["effective"] == pytest.approx(40)
