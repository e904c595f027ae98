"""`evaluate sources` from the command line: tables, JSON and page of a small project, with a source of one's own."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.reports.stages_segments import NO_BOARD
from tests.worlds.funnel import opened_world

OWN = """
import numpy as np
from serving.candidates.generator import CandidateGenerator
from serving.request.found import FoundPins

class First(CandidateGenerator):
    def generate(self, query, budget, deadline):
        pins = np.flatnonzero(query.may_show())[:budget]
        return FoundPins(pins, np.ones(len(pins), np.float32))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    opened_world(folder)
    return folder


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["evaluate", "sources", "-p", str(folder / "pinfunnel.yaml"), *arguments])
    return result.exit_code, " ".join(result.output.split())


def test_sources_and_their_union_are_told_by_client(folder: Path) -> None:
    out, page = folder / "out.json", folder / "page.html"
    code, text = run(
        folder, "--client", "homefeed", "--source", "walk", "--source", "similar", "--source", "popular",
        "--every", "20", "--graphs", "1", "--min-history", "2", "--budget", "60",
        "--json", str(out), "--html", str(page),
    )  # fmt: skip
    assert code == 0, text
    found = json.loads(out.read_text())["homefeed"]
    assert found["sources"] == ["walk", "similar", "popular"]
    assert found["requests"] > 10
    assert set(found["recall"]) == {"walk", "similar", "popular", "union"}
    assert found["recall"]["union"]["500"]["mean"] >= max(found["recall"][n]["500"]["mean"] for n in found["sources"])
    assert all(0.0 <= found["overlap"][a][b] <= 1.0 for a in found["sources"] for b in found["sources"])
    assert all(ms > 0 for ms in found["milliseconds"].values())
    assert any(part.startswith("known users") for part in found["segments"])
    assert "cold pins (on fewer than 5 boards)" in found["segments"]
    assert "union over walk, recall@100" in text
    assert "homefeed: recall@100 by part" in text
    html = page.read_text()
    assert "<svg" in html
    assert "similar" in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_new_users_and_cold_pins_have_parts_of_their_own(folder: Path) -> None:
    out = folder / "parts.json"
    code, text = run(
        folder, "--client", "homefeed", "--source", "walk", "--source", "content", "--every", "12", "--graphs", "1",
        "--min-history", "0", "--new-below", "2", "--cold-below", "3", "--json", str(out),
    )  # fmt: skip
    assert code == 0, text
    found = json.loads(out.read_text())["homefeed"]
    parts = found["segments"]
    new, cold, alone = (
        parts[name] for name in ("new users (fewer than 2 actions)", "cold pins (on fewer than 3 boards)", NO_BOARD)
    )
    assert 0 < new["requests"] < found["requests"]
    assert 0 < alone["requests"] <= cold["requests"] < found["requests"]
    assert set(alone["recall@100"]) == {"walk", "content", "union"}
    assert alone["recall@100"]["walk"]["mean"] == 0.0  # it cannot get there
    assert alone["recall@100"]["content"]["mean"] > 0.0


def test_a_source_of_ones_own_is_judged_like_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "own_sources.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "own_sources", raising=False)
    clients = folder / "clients"
    clients.mkdir()
    (clients / "homefeed.yaml").write_text("sources: {walk: 60, first: {use: 'own_sources:First', quota: 60}}\n")
    project = folder / "own.yaml"
    project.write_text((folder / "pinfunnel.yaml").read_text() + "\nclients: clients\n")
    out = folder / "own.json"
    result = CliRunner().invoke(
        app, ["evaluate", "sources", "-p", str(project), "--every", "30", "--graphs", "1", "--json", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["homefeed"]["sources"] == ["walk", "first"]


def test_an_unknown_source_is_named(folder: Path) -> None:
    code, text = run(folder, "--client", "homefeed", "--source", "bords")
    assert code != 0
    assert "did you mean 'boards'?" in text
