"""What the pages on security, privacy and fresh pins print does what they say: each command, and each call by HTTP."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.project import Opened
from apps.world.in_process import InProcess
from tests.architecture.repository import ROOT
from tests.architecture.test_printed_commands import in_blocks
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world

PAGES = ("docs/security.md", "docs/privacy.md", "docs/fresh.md")
CALL = re.compile(r"`POST (/v1/\S+) (\{[^`]*\})`")
BODY = re.compile(r"curl -s localhost:8000(/\S+) .*?-d '(.*?)'", re.S)
FILES = {
    "ids.txt": "8\n9\n",
    "withdrawn.txt": "7\n",
    "boards.txt": "12\n",
    "new.jsonl": '{"pin_id": 900001, "boards": [1]}\n',
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened_world(tmp_path_factory.mktemp("site"))


def site(world: Opened) -> Path:
    return Path(world.project.home).parent


def test_each_command_works_in_the_order_of_its_page(world: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = site(world)
    monkeypatch.chdir(folder)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    day = folder / "lake" / "edges" / "day=2026-01-31"
    day.mkdir(parents=True)
    pq.write_table(pq.read_table(folder / "edges").slice(0, 5), day / "part-0.parquet")
    lines = [line for page in PAGES for line in in_blocks((ROOT / page).read_text()) if line.startswith("pinfunnel ")]
    assert {line.split()[1] for line in lines} == {"keys", "forget", "remove", "add-pins", "add-edges"}
    for line in lines:
        done = CliRunner().invoke(app, line.split()[1:])
        assert done.exit_code == 0, f"{line}: {done.output}"
    assert world.new_process().removals.now().pins == frozenset()


def test_each_call_is_answered(world: Opened) -> None:
    text = "".join((ROOT / page).read_text() for page in PAGES)
    calls = [*CALL.findall(text), *BODY.findall(text)]
    assert len({path for path, _ in calls}) >= 3
    with InProcess(world) as inside:
        for path, body in calls:
            answer = Face(inside.app).post(path, json=json.loads(body))
            assert answer.status_code == 200, f"{path} {body}: {answer.text}"
            assert not answer.json().get("refused"), answer.text
