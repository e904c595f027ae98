"""`pinfunnel evaluate sequence`: one file in, figures and a table out; what it cannot read is told in a line."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from apps.cli import app
from tests.worlds.sequences import chains


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = chains(80, 20, 8)
    user = np.repeat(np.arange(made.n_users), made.lengths)
    when = pa.array(made.seconds * 86_400 * 1_000_000, pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"who": user, "what": made.items, "when": when}), tmp_path / "f.parquet")
    return tmp_path / "f.parquet"


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["evaluate", "sequence", *map(str, words)])
    return result.exit_code, result.output


@pytest.mark.parametrize("protocol", ["leave-one-out", "time-split"])
def test_figures_of_a_file(file: Path, tmp_path: Path, protocol: str) -> None:
    columns = ("--user", "who", "--item", "what", "--time", "when")
    code, told = run(
        "--interactions",
        file,
        *columns,
        "-k",
        "5",
        "--protocol",
        protocol,
        "--epochs",
        "2",
        "--json",
        tmp_path / "o.json",
    )
    assert code == 0, told
    figures = json.loads((tmp_path / "o.json").read_text())
    assert {"recall@5", "ndcg@5", "coverage@5", "seconds", "parameters", "recall@5_with_seen"} <= set(figures)
    assert set(figures["popular_7_days"]) == {
        f"{name}@5{suffix}" for name in ("recall", "ndcg") for suffix in ("", "_with_seen")
    } | {"coverage@5"}
    assert figures["clock"] is True
    assert 0 <= figures["ndcg@5"] <= figures["recall@5"] <= 1
    assert f"{figures['recall@5']:.4f}" in told


def test_a_column_that_is_not_there_is_named(file: Path) -> None:
    code, told = run("--interactions", file, "--user", "who", "--item", "which", "--time", "when")
    assert code == 1
    assert "no column 'which'" in told


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    junk = tmp_path / "junk.parquet"
    junk.write_text("no parquet")
    code, told = run("--interactions", junk)
    assert code == 1
    assert "junk.parquet: cannot be read as Parquet" in " ".join(told.split()).replace("- ", "-")
