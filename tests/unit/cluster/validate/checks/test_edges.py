"""Edges that a build would not use are counted with the reason and the fix."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.unit.cluster.validate.faulty import check, clean_tables, only
from tests.worlds.inputs import ids_of


def test_duplicate_edges(tmp_path: Path) -> None:
    tables = clean_tables()
    tables["edges"] = pa.concat_tables([tables["edges"], tables["edges"].slice(5, 2)])
    report = check(tmp_path, tables, files=1)
    finding = only(report, "edges")
    assert (finding.kind, finding.count, finding.row) == ("dropped", 2, len(tables["edges"]) - 2)
    assert "edge is there twice" in finding.what


def test_edges_to_unknown_pins(tmp_path: Path) -> None:
    tables = clean_tables()
    stray = pa.table({"board_id": [1], "pin_id": [10**6], "saved_at": tables["edges"]["saved_at"].slice(0, 1)})
    tables["edges"] = pa.concat_tables([stray.cast(tables["edges"].schema), tables["edges"]])
    finding = only(check(tmp_path, tables, files=1), "edges")
    assert (finding.kind, finding.what, finding.row) == ("dropped", "pin_id is not among the pins", 0)


def test_nothing_left_is_an_error_with_the_reason(tmp_path: Path) -> None:
    tables = clean_tables()
    tables["edges"] = tables["edges"].set_column(1, "pin_id", ids_of(np.full(len(tables["edges"]), 10**6), "int64"))
    report = check(tmp_path, {"edges": tables["edges"], "pins": tables["pins"]})
    assert "no edge is left" in report.errors[0].what
    assert any("among the pins" in f.what for f in report.tables["edges"].findings)
