"""Rounds: what they do, what is left when one fails or is killed, who is told, and that a project has one loop."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.loop.alert import tell, url_of, worth_telling
from apps.loop.loop import Loop
from apps.loop.process import MARK, end_left_over, run_step
from apps.loop.rounds import RoundReport, Rounds, StepReport
from apps.loop.steps import Step
from cluster.errors import ConfigError
from cluster.processes import marked
from tests.worlds.toy import toy_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = toy_project(tmp_path / "toy")
    settings = yaml.safe_load(path.read_text()) | {"home": "home", "loop": {"new_edges": "arriving"}}
    path.write_text(yaml.safe_dump(settings))
    (path.parent / "arriving").mkdir()
    return path


def doing(fails: str = "") -> tuple[list[str], Callable[[Step], StepReport]]:
    """Commands that were run, and what runs them: one of them fails."""
    ran: list[str] = []

    def run(step: Step) -> StepReport:
        ran.append(step.name)
        failed = step.name == fails
        return StepReport(step.name, int(failed), 0.1, ("no",) if failed else (), added=None if failed else step.adds)

    return ran, run


def test_a_step_that_fails_leaves_the_others_to_do_theirs(project: Path) -> None:
    ran, run = doing(fails="train lightweight --all")
    said: list[str] = []
    report = Loop(project, said.append, run=run).once()
    assert not report.worked
    assert ran == ["build-graph", "compact-logs", "train lightweight --all", "train full", "models prune --keep 5"]
    assert "`pinfunnel train lightweight --all`: no" in said[-1]
    assert Rounds(project.parent / "home" / "loop").read() == [report]


def test_a_file_of_edges_is_added_once_and_again_where_that_failed(project: Path) -> None:
    new = project.parent / "arriving" / "day-1.parquet"
    new.touch()
    adding = f"add-edges --edges {new}"
    ran, run = doing(fails=adding)
    Loop(project, print, run=run).once()
    ran, run = doing()
    Loop(project, print, run=run).once()
    assert adding in ran
    ran, run = doing()
    Loop(project, print, run=run).once()
    assert not [name for name in ran if name.startswith("add-edges")]


def test_a_loop_that_is_killed_in_a_step_knows_what_it_had_done(project: Path) -> None:
    new = project.parent / "arriving" / "day-1.parquet"
    new.touch()
    ran, run = doing()

    def dies(step: Step) -> StepReport:
        if step.name == "compact-logs":
            raise KeyboardInterrupt
        return run(step)

    with pytest.raises(KeyboardInterrupt):
        Loop(project, print, run=dies).once()
    ran, run = doing()
    stop = threading.Event()

    def last(step: Step) -> StepReport:
        if step.name.startswith("models prune"):
            stop.set()
        return run(step)

    Loop(project, print, run=last).forever(stop)  # due at once
    assert "compact-logs" in ran
    assert not [name for name in ran if name.startswith("add-edges")], "it was added before"


def test_a_project_file_that_breaks_ends_no_loop(project: Path) -> None:
    said: list[str] = []

    def run(step: Step) -> StepReport:
        project.write_text("home: [")
        return StepReport(step.name, 0, 0.1)

    loop = Loop(project, said.append, run=run)
    assert loop.once().worked
    assert loop.once().worked
    assert any("going on by the settings of before" in line and "not valid YAML" in line for line in said)
    with pytest.raises(ConfigError, match="not valid YAML"):
        Loop(project, said.append, run=run)


def test_there_is_one_loop_of_a_project(project: Path) -> None:
    errors: list[str] = []

    def run(step: Step) -> StepReport:
        try:
            Loop(project, print, run=doing()[1]).once()
        except ConfigError as error:
            errors.append(str(error))
        return StepReport(step.name, 0, 0.0)

    Loop(project, print, run=run).once()
    assert errors
    assert f"another `pinfunnel loop` (process {os.getpid()}) has this project" in errors[0]


SCRIPT = "import json, sys; print('working'); json.dump({'n': 3}, open(sys.argv[-1], 'w')); sys.exit(int(sys.argv[1]))"


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_step_is_a_process_and_its_end_a_report(project: Path, code: int) -> None:
    said: list[str] = []
    step = Step((str(code),), adds="a.parquet")
    report = run_step(step, project, 60.0, said.append, (sys.executable, "-c", SCRIPT))
    assert report.exit_code == code
    assert report.last_lines == ("working",)
    assert said == ["working"]
    assert report.figures == {"n": 3}
    assert report.added == (None if code else "a.parquet")


def test_a_step_that_takes_too_long_is_ended_with_what_it_started(project: Path) -> None:
    hangs = "import subprocess, sys; subprocess.run(['sleep', '600'])"
    report = run_step(Step(()), project, 0.5, print, (sys.executable, "-c", hangs))
    assert report.failed
    assert "took longer" in report.last_lines[-1]
    assert marked(MARK, str(project)) == []


def test_what_a_killed_loop_has_left_running_is_ended(project: Path) -> None:
    left = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: str(project)}, start_new_session=True)
    other = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: "/elsewhere"}, start_new_session=True)
    try:
        while not marked(MARK, str(project)):  # the child has its environment once it runs
            time.sleep(0.01)
        assert end_left_over(project) == 1
        assert left.wait(30) == -9
        assert other.poll() is None
    finally:
        for each in (left, other):
            each.kill()
            each.wait()


def test_the_real_commands_take_what_a_step_adds_to_them(project: Path) -> None:
    """`--project` and `--json` are options of every command that a round runs."""
    for arguments in (("compact-logs",), ("bundles", "prune", "--keep", "5")):
        report = run_step(Step(arguments), project, 120.0, print)
        assert report.exit_code == 0, report
        assert report.figures


class Hook:
    """A webhook that keeps what it is told, and answers with a status."""

    def __init__(self, status: int = 200):
        told: list[dict[str, Any]] = []
        self.told = told

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Taking)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Hook":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_failure_and_the_recovery_are_told_and_nothing_else(project: Path) -> None:
    with Hook() as hook:
        for fails in ("", "train full", "train full", "", ""):
            Loop(project, print, hook.url, doing(fails)[1]).once()
    assert [body["worked"] for body in hook.told] == [False, False, True]
    assert hook.told[0]["failed"] == ["train full"]
    assert "train full" in hook.told[0]["text"]
    assert str(project) == hook.told[0]["project"]


def test_a_webhook_that_does_not_answer_ends_no_round(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Hook(500) as hook:
        assert not tell(hook.url, "p", RoundReport("t"))
        assert not Loop(project, print, hook.url, doing("train full")[1]).once().worked
    assert not tell(hook.url, "p", RoundReport("t")), "nobody listens any more"
    assert "secret" not in caplog.text


def test_a_variable_that_is_named_must_hold_a_url() -> None:
    assert url_of(None, {}) is None
    assert url_of("HOOK", {"HOOK": "https://example.net/x"}) == "https://example.net/x"
    for environment in ({}, {"HOOK": ""}, {"HOOK": "example.net"}):
        with pytest.raises(ConfigError, match=r"loop.webhook_env: HOOK is not set to a URL"):
            url_of("HOOK", environment)


def test_good_rounds_are_worth_no_word() -> None:
    good = RoundReport("t", (), "u")
    assert not worth_telling(None, good)
    assert not worth_telling(good, good)
    assert worth_telling(RoundReport("t"), good)
