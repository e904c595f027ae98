"""The notebook in examples/ and the programs of docs/python.md run, on a project and against a server of it."""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.api_client import sync
from apps.project import Opened
from apps.world.in_process import URL, InProcess
from tests.worlds.funnel import opened_world, publish_lightweight

NOTEBOOK = Path(__file__).parents[3] / "examples" / "notebook" / "funnel.ipynb"


PAGE = Path(__file__).parents[3] / "docs" / "python.md"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """A project with a model, and a server of it in this process that `pinfunnel.Funnel` calls."""
    opened = opened_world(tmp_path)
    process = opened.new_process()
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    with InProcess(opened) as inside:
        client = sync.FunnelClient
        monkeypatch.setattr(sync, "FunnelClient", lambda url, key=None: client(url, key, transport=inside.transport))
        yield opened
        inside.flush()


def test_every_cell_runs_and_shows_something(served: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells), "outputs are not kept in the repository"
    monkeypatch.setenv("PINFUNNEL_PROJECT", str(tmp_path / "pinfunnel.yaml"))
    monkeypatch.setenv("PINFUNNEL_URL", URL)
    names: dict[str, Any] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for cell in cells:
            exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)
    assert "pins on" in said.getvalue()
    assert "graph_rank" in said.getvalue(), "what moved the best pin"
    assert names["served"].pins


def test_the_programs_of_the_page_run(served: Opened, tmp_path: Path) -> None:
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(programs) == 2
    for program in programs:
        exec(program.replace("pinfunnel-demo/pinfunnel.yaml", str(tmp_path / "pinfunnel.yaml")), {})
