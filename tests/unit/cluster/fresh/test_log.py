"""The log of fresh rows: what one process appends, every other reads, up to whichever entry is named."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BundleError
from cluster.fresh.log import FreshLog
from cluster.settings.project import DataSettings, Project, Source


def project(folder: Path, **more: Any) -> Project:
    data = DataSettings(edges=Source(path="edges"), pins=Source(path="pins"))
    return Project.model_validate({"home": str(folder), "data": data, **more})


def add(log: FreshLog, *rows: dict[str, Any]) -> None:
    kept, refused = log.contract.read(rows, datetime.now(UTC))
    assert not refused
    log.append(kept)


def test_every_process_reads_the_same_up_to_any_entry(tmp_path: Path) -> None:
    writer, reader = FreshLog(project(tmp_path)), FreshLog(project(tmp_path))
    assert reader.entries() == 0
    assert len(reader.rows().pins) == 0
    add(writer, {"pin_id": 1, "boards": [5, 6]}, {"pin_id": 2})
    add(writer, {"pin_id": 3, "boards": [5]})
    assert reader.entries() == 2
    add(writer, {"pin_id": 1, "topics": ["new"]})
    assert FreshLog(project(tmp_path)).entries() == reader.entries() == 3
    for log in (writer, reader, FreshLog(project(tmp_path))):
        assert log.rows(1).pins["pin_id"].to_pylist() == [1, 2]
        assert log.rows(2).edges["board_id"].to_pylist() == [5, 6, 5]
        last = {row["pin_id"]: row["topics"] for row in log.rows(3).pins.to_pylist()}
        assert last == {1: ["new"], 2: None, 3: None}


def test_more_entries_than_there_are_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="has 0 entries here, not 2"):
        FreshLog(project(tmp_path)).rows(2)


def test_rows_of_columns_that_the_project_has_no_more_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = FreshLog(project(tmp_path, attributes={"price": "number"}))
    add(old, {"pin_id": 1, "price": 3.5})
    add(old, {"pin_id": 2, "boards": [1]})
    log = FreshLog(project(tmp_path, attributes={"price": "list"}))
    assert log.entries() == 2
    assert log.rows().pins["pin_id"].to_pylist() == [2]
    assert "price" in caplog.text


def test_a_line_that_is_damaged_takes_no_other_with_it(tmp_path: Path) -> None:
    add(FreshLog(project(tmp_path)), {"pin_id": 1})
    path = tmp_path / "control" / "fresh.jsonl"
    path.write_bytes(
        path.read_bytes() + b"{broken\n" + json.dumps({"pins": [{"pin_id": 4, "boards": []}]}).encode() + b"\n"
    )
    assert FreshLog(project(tmp_path)).rows().pins["pin_id"].to_pylist() == [1, 4]
