"""`evaluate stages` from the command line: tables, segments, protocol, JSON and page of a small project."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.cli import app
from tests.worlds.funnel import opened_world, publish_lightweight

PARTS = ("new users (fewer than 6 actions)", "known users (at least 6 actions)", "cold pins (on fewer than 4 boards)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy world with a published lightweight ranker of the home feed and none of the others."""
    folder = tmp_path_factory.mktemp("evaluate")
    process = opened_world(folder).new_process()
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1)
    return folder


def run(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["evaluate", "stages", "-p", str(folder / "pinfunnel.yaml"), *arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_every_order_is_judged_by_client_and_part(folder: Path) -> None:
    out, page = folder / "out.json", folder / "page.html"
    text = run(
        folder, "--client", "homefeed", "--graphs", "2", "--every", "20", "--min-history", "2", "--new-below", "6",
        "--cold-below", "4", "--peers", "--protocol", "--json", str(out), "--html", str(page),
    )  # fmt: skip
    found = json.loads(out.read_text())["homefeed"]
    orders = {"popularity", "visit_count", "visit_count_corrected", "lightweight", "ease_300", "rp3beta", "als"}
    assert orders <= set(found["recall"])
    assert found["recall"]["ease_300"]["n"] == found["requests"] > 20
    assert set(PARTS) < set(found["segments"])
    assert found["missing"] == {"full": "not published: never trained, or refused before it was fitted"}
    assert "full ranker: not published" in text
    protocol = found["protocol"]
    assert sum(protocol["slices"].values()) == protocol["requests"] == found["requests"]
    assert protocol["users"] == found["users"]
    assert protocol["figures"] == ["recall@50", "ndcg@20"]
    for begin in protocol["slices"]:
        assert f"slice from {begin}" in text
    assert "--since was not given" in text
    html = page.read_text()
    assert html.count("<table>") == 1 + sum(part["requests"] > 0 for part in found["segments"].values())
    assert all(part.replace("(", "").split(" (")[0] in html.replace("(", "") for part in PARTS)


def test_a_client_that_walks_from_the_request_is_left_out_with_a_word(folder: Path) -> None:
    text = run(folder, "--client", "search", "--json", str(folder / "none.json"))
    assert "search: left out, its walks start from the request's own query pins" in text
    assert json.loads((folder / "none.json").read_text()) == {}


def test_a_model_that_may_have_seen_the_time_is_said(tmp_path: Path) -> None:
    replay = Replay(opened_world(tmp_path))
    backfill(replay, "homefeed", ReplayPlan(graphs=1, every=30, min_history=2, since=replay.moment(0.9)))
    text = run(tmp_path, "--client", "homefeed", "--graphs", "1", "--every", "30")
    assert "a model may have learned from it: for held-out time run backfill with --until" in text


def test_a_span_without_events_is_one_line(folder: Path) -> None:
    arguments = ["evaluate", "stages", "-p", str(folder / "pinfunnel.yaml"), "--since", "2031-01-01"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "no event lies in the span" in " ".join(result.output.split())
