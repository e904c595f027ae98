"""evaluate retrieval: the graph is walked in as many parts as are said, or as the project has."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from apps.cli import app
from training.metrics.registry import ANSWERS
from training.retrieval import walks


@pytest.fixture
def edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of edges, in the folder that we are in. Nothing is walked: that takes seconds, and is tested elsewhere."""

    def no_walks(*tables: Any, shards: int, **_: Any) -> dict[str, Any]:
        return {**{metric.figure(5): 0.5 for metric in ANSWERS}, "boards": 1, "seconds": 0.0, "shards": shards}

    monkeypatch.setattr(walks, "evaluate_retrieval", no_walks)
    pq.write_table(pa.table({"board_id": [1], "pin_id": [2]}), tmp_path / "edges.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shards(*said: str) -> int:
    told = ["--train", "edges.parquet", "--test", "edges.parquet", "-k", "5", "--json", "out.json", *said]
    result = CliRunner().invoke(app, ["evaluate", "retrieval", *told])
    assert result.exit_code == 0, result.output
    found: int = json.loads(Path("out.json").read_text())["shards"]
    assert (f"{found} shards" in result.output) == (found > 1)
    return found


def write_project(file: Path, parts: int) -> str:
    file.write_text(f"data: {{edges: {{path: edges.parquet}}}}\ngraph: {{shards: {parts}}}\n")
    return str(file)


def test_without_a_project_the_graph_is_whole(edges: Path) -> None:
    assert shards() == 1


def test_the_project_says_in_how_many_parts_and_the_option_before_it(edges: Path) -> None:
    write_project(edges / "pinfunnel.yaml", 2)
    other = write_project(edges / "other.yaml", 3)
    assert (shards(), shards("--project", other), shards("--shards", "1")) == (2, 3, 1)
