"""The pruning bench on a project's own files: topics that boards follow make pruning pay; without topics it says so."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from apps.bench.graph.prune import measure, of_project
from cluster.errors import DataError
from tests.worlds.inputs import ids_of, write_project


def tables(kind: str, with_topics: bool) -> dict[str, pa.Table]:
    """Boards of one of three topics; a pin in five of a board comes from anywhere."""
    rng = np.random.default_rng(0)
    pins, boards = 300, 120
    topic = np.arange(pins) % 3
    board = np.repeat(np.arange(boards), 40)
    pin = np.where(
        rng.random(board.size) < 0.2,
        rng.integers(0, pins, board.size),
        rng.integers(0, 100, board.size) * 3 + board % 3,
    )
    out = {"edges": pa.table({"board_id": ids_of(board, kind), "pin_id": ids_of(pin, kind)})}
    if with_topics:
        out["pins"] = pa.table({"pin_id": ids_of(np.arange(pins), kind), "topics": [[f"t{t}"] for t in topic]})
    return out


@pytest.mark.parametrize("kind", ["int64", "string"])
def test_own_topics_are_what_it_prunes_by(tmp_path: Path, kind: str) -> None:
    found = measure(of_project(write_project(tmp_path, tables(kind, True), kind), 60))
    by = {(row["drop_boards"], row["delta"]): row for row in found["settings"]}
    assert found["boards"] > 20
    assert by[0.0, 0.8]["edges"] < 0.7 * by[0.0, 1.0]["edges"]
    assert by[0.0, 0.8]["recall@20"] > by[0.0, 1.0]["recall@20"], "edges across topics were noise"
    assert 0 < by[0.1, 1.0]["edges"] < by[0.0, 1.0]["edges"]


def test_pins_without_topics_are_an_error_that_says_so(tmp_path: Path) -> None:
    project = write_project(tmp_path, tables("int64", False), "int64")
    with pytest.raises(DataError, match="column `topics`"):
        of_project(project, 10)
