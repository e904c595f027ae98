"""Rows of a training run on disk: drawn for a judge, or the newest ones, without all of them in memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.full import parts as parts_of_a_run
from training.full.gating import held_out_rows
from training.full.parts import Parts, in_order

TIMES = np.random.default_rng(0).permutation(700)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """700 requests in three files, their times in no order."""
    found = []
    for name, times in zip("abc", np.array_split(TIMES, [300, 301]), strict=True):
        table = pa.table({"requested_at": pa.array(times.astype("datetime64[us]")), "number": pa.array(times)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
        found.append(str(tmp_path / f"{name}.parquet"))
    return found


def test_few_rows_are_all_taken(paths: list[str]) -> None:
    table = held_out_rows(paths, 700)
    assert table is not None
    assert table["number"].to_pylist() == TIMES.tolist()
    assert held_out_rows([]) is None


def test_of_many_some_are_drawn_once_each_from_all_files(paths: list[str]) -> None:
    first, again = (held_out_rows(paths, 200) for _ in range(2))
    assert first is not None
    assert first.equals(again)
    drawn = first["number"].to_pylist()
    assert len(set(drawn)) == len(drawn) == 200
    assert sum(number in set(TIMES[:300].tolist()) for number in drawn) == pytest.approx(200 * 300 / 700, abs=30)


def test_the_newest_requests_are_kept(paths: list[str], tmp_path: Path) -> None:
    parts = Parts(paths, [], [])
    assert parts.newest(700, tmp_path / "new") is parts
    kept = parts.newest(50, tmp_path / "new")
    assert sorted(pq.read_table(kept.train[0])["number"].to_pylist()) == list(range(650, 700))


def test_a_small_part_lies_in_the_order_of_its_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.table({"requested_at": pa.array(TIMES // 2), "request_id": pa.array([f"r{at:03}" for at in TIMES])})
    files = []
    for name, at in (("b", 400), ("a", 0)):
        files.append(str(tmp_path / f"{name}.parquet"))
        pq.write_table(rows.slice(at, 400), files[-1])
    monkeypatch.setattr(parts_of_a_run, "ORDERED_BYTES", 10)
    assert in_order(files, tmp_path / "all.parquet") == files
    monkeypatch.undo()
    (made,) = in_order(files, tmp_path / "all.parquet")
    assert pq.read_table(made)["request_id"].to_pylist() == [f"r{at:03}" for at in range(700)]
    assert pq.read_metadata(made).num_row_groups == 3
    assert in_order([], tmp_path / "none.parquet") == []
