"""Repeated pins and numbers that are none are counted with the fix."""

from pathlib import Path

import pyarrow as pa

from tests.unit.cluster.validate.faulty import check, clean_tables, only, spoiled


def test_duplicate_pins_keep_the_last(tmp_path: Path) -> None:
    tables = clean_tables()
    tables["pins"] = pa.concat_tables([tables["pins"], tables["pins"].slice(0, 1)])
    finding = only(check(tmp_path, tables), "pins")
    assert (finding.count, finding.row) == (1, 0)  # the first row of the first file
    assert finding.file is not None
    assert finding.file.endswith("part-0.parquet")


def test_non_finite_features_become_missing(tmp_path: Path) -> None:
    tables = clean_tables()
    tables["pins"] = spoiled(tables["pins"], "price", 4, float("inf"))
    tables["users"] = tables["users"].set_column(3, "age", pa.array([float("nan")] * 2 + [1.0] * 18))
    report = check(tmp_path, tables, files=1)
    found = {f.table: f for t in report.tables.values() for f in t.findings}
    assert (found["pins"].kind, found["pins"].count, found["pins"].row) == ("changed", 1, 4)
    assert (found["users"].kind, found["users"].count) == ("changed", 2)
    assert report.tables["pins"].used == len(tables["pins"])
