"""Inputs without a fault, one spoiled value in them, and what validation says of it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.cleaning import now_us
from cluster.validate.report import Finding, Report
from cluster.validate.validation import validate
from tests.worlds.inputs import FEATURES, random_tables, write_project

FUTURE = now_us() + 86_400 * 10**6


def clean_tables() -> dict[str, pa.Table]:
    """Inputs without a fault."""
    tables = random_tables(n_edges=500)
    known = pc.is_in(tables["edges"]["pin_id"], tables["pins"]["pin_id"])
    edges = tables["edges"].filter(known)
    keep = pa.table({"b": edges["board_id"], "p": edges["pin_id"], "r": range(len(edges))})
    rows = keep.group_by(["b", "p"]).aggregate([("r", "min")])["r_min"]
    tables["edges"] = edges.take(rows)
    in_graph = pc.is_in(tables["events"]["pin_id"], tables["edges"]["pin_id"])
    of_known = pc.is_in(tables["events"]["user_id"], tables["users"]["user_id"])
    tables["events"] = tables["events"].filter(pc.and_(in_graph, of_known))
    return tables


def check(folder: Path, tables: dict[str, pa.Table], **options: Any) -> Report:
    report = validate(write_project(folder, tables, features=FEATURES, **options))
    assert "Traceback" not in report.text()
    assert json.loads(json.dumps(report.as_dict()))["ok"] == report.ok
    return report


def only(report: Report, table: str) -> Finding:
    """The one finding of a report."""
    found = [f for t in report.tables.values() for f in t.findings]
    assert [f.table for f in found] == [table], report.text()
    assert found[0].text in report.text()
    assert "\n" not in found[0].text
    return found[0]


def spoiled(table: pa.Table, name: str, row: int, value: Any) -> pa.Table:
    values = table[name].to_pylist()
    values[row] = value
    at = table.column_names.index(name)
    return table.set_column(at, name, pa.array(values, table.schema.field(name).type))
