"""Every bad input is one clear line or a counted, reported drop; the build drops exactly what validation counts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.catalog.build import build_catalog
from cluster.catalog.catalog import Catalog
from cluster.settings.project import Project, Source
from cluster.store.bundles import BundleStore
from cluster.validate.validation import validate
from tests.unit.cluster.validate.faulty import FUTURE, check, clean_tables, only, spoiled
from tests.worlds.inputs import FEATURES, random_tables, times_of, write_project


def test_good_input_has_no_findings(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    tables = clean_tables()
    report = validate(
        write_project(tmp_path, tables, features=FEATURES), lambda step, share: seen.append((step, share))
    )
    assert report.ok
    assert [t.findings for t in report.tables.values()] == [[], [], [], []]
    assert {n: (t.rows, t.used) for n, t in report.tables.items()} == {n: (len(t), len(t)) for n, t in tables.items()}
    assert {step for step, share in seen if share == 1.0} == set(tables)


def test_missing_column(tmp_path: Path) -> None:
    tables = clean_tables()
    tables["pins"] = tables["pins"].rename_columns(
        ["pin_id", "topics", "locale", "created_at", "vector", "prices", "shop"]
    )
    report = check(tmp_path, tables, files=1)
    finding = only(report, "pins")
    assert not report.ok
    assert finding.what == "no column 'price'"
    assert "data.pins.columns: {price: prices}" in finding.fix
    assert finding.file == str(tmp_path / "pins" / "part-0.parquet")


def test_wrong_types_are_reported_for_every_column(tmp_path: Path) -> None:
    tables = clean_tables()
    tables["events"] = tables["events"].set_column(0, "user_id", pa.array(["u"] * len(tables["events"])))
    seconds = pa.array(np.arange(len(tables["events"])))
    tables["events"] = tables["events"].set_column(3, "occurred_at", seconds)
    report = check(tmp_path, tables, files=1)
    assert [(f.column, f.row) for f in report.errors] == [("user_id", 0), ("occurred_at", 0)]
    assert "ids: string" in report.errors[0].fix
    assert "from_epoch" in report.errors[1].fix


def test_wrong_value_names_its_row(tmp_path: Path) -> None:
    tables = clean_tables()
    pins = tables["edges"]["pin_id"].cast(pa.float64()).to_pylist()
    pins[7] = 0.5
    tables["edges"] = tables["edges"].set_column(1, "pin_id", pa.array(pins))
    finding = check(tmp_path, tables, files=1).errors[0]
    assert (finding.column, finding.row, finding.file) == ("pin_id", 7, str(tmp_path / "edges" / "part-0.parquet"))


@pytest.mark.parametrize(
    ("table", "column"), [("edges", "board_id"), ("pins", "pin_id"), ("users", "user_id"), ("events", "pin_id")]
)
def test_null_ids(tmp_path: Path, table: str, column: str) -> None:
    tables = clean_tables()
    extra = spoiled(tables[table].slice(0, 1), column, 0, None)
    tables[table] = pa.concat_tables([tables[table].slice(0, 3), extra, tables[table].slice(3)])
    report = check(tmp_path, tables, files=1)
    finding = only(report, table)
    assert report.ok
    assert (finding.kind, finding.what, finding.count, finding.row) == ("dropped", f"{column} is null", 1, 3)
    assert finding.column == column
    assert report.tables[table].used == report.tables[table].rows - 1


@pytest.mark.parametrize("table", ["edges", "pins", "users", "events"])
@pytest.mark.parametrize("how", ["no rows", "0 bytes", "no files", "no folder"])
def test_empty_inputs(tmp_path: Path, table: str, how: str) -> None:
    tables = clean_tables()
    if how == "no rows":
        tables[table] = tables[table].slice(0, 0)
    project = write_project(tmp_path, tables, features=FEATURES, files=1)
    file = tmp_path / table / "part-0.parquet"
    if how == "0 bytes":
        file.write_bytes(b"")
    elif how in ("no files", "no folder"):
        file.unlink()
        if how == "no folder":
            file.parent.rmdir()
    report = validate(project)
    assert not report.ok
    assert {f.table for f in report.errors} == {table}
    assert len(report.errors) == 1, report.text()


def test_truncated_parquet_leaves_the_other_files_checked(tmp_path: Path) -> None:
    tables = clean_tables()
    project = write_project(tmp_path, tables, features=FEATURES)
    file = tmp_path / "events" / "part-0.parquet"
    file.write_bytes(file.read_bytes()[:-30])
    report = validate(project)
    assert [f.file for f in report.errors] == [str(file)]
    assert "cut off" in report.errors[0].text
    assert report.tables["events"].rows == len(tables["events"]) // 2


@pytest.mark.parametrize(
    ("table", "column", "kind"),
    [("edges", "saved_at", "dropped"), ("events", "occurred_at", "dropped"), ("pins", "created_at", "changed")],
)
def test_times_in_the_future(tmp_path: Path, table: str, column: str, kind: str) -> None:
    tables = clean_tables()
    tables[table] = spoiled(tables[table], column, 2, times_of([FUTURE])[0].as_py())
    report = check(tmp_path, tables, files=1)
    finding = report.tables[table].findings[0]
    assert (finding.kind, finding.count, finding.row) == (kind, 1, 2)
    assert "lies in the future" in finding.what


def test_times_in_the_wrong_unit_are_noted(tmp_path: Path) -> None:
    tables = clean_tables()
    seconds = times_of(tables["events"]["occurred_at"].cast(pa.int64()).to_numpy() // 10**6)
    tables["events"] = tables["events"].set_column(3, "occurred_at", seconds)
    finding = only(check(tmp_path, tables), "events")
    assert (finding.kind, finding.count) == ("noted", len(tables["events"]))
    assert "unit" in finding.fix


def test_a_wrong_mapping_is_one_line(tmp_path: Path) -> None:
    project = write_project(tmp_path, clean_tables(), features=FEATURES)
    source = Source(path=project.data.edges.path, columns={"pin": "item"})
    project = project.model_copy(update={"data": project.data.model_copy(update={"edges": source})})
    assert "edges has no column 'pin'; did you mean 'pin_id'" in validate(project).errors[0].text


@pytest.mark.parametrize("kind", ["int64", "string"])
def test_the_build_drops_what_validation_counts(tmp_path: Path, kind: str) -> None:
    tables = random_tables(kind, seed=3)
    tables["edges"] = spoiled(spoiled(tables["edges"], "pin_id", 0, None), "saved_at", 1, times_of([FUTURE])[0].as_py())
    tables["events"] = spoiled(tables["events"], "action", 5, "eat")
    project: Project = write_project(tmp_path, tables, kind, FEATURES)
    report = validate(project)
    store = BundleStore(project.home)
    build_catalog(project, store, in_memory=True)
    drops = Catalog.open(store.open("graph").path, "v").drops
    for name, table in report.tables.items():
        counted = {f.what: f.count for f in table.findings if f.kind in ("dropped", "changed")}
        assert counted == drops[name]["dropped"] | drops[name]["changed"], name
        assert table.used == table.rows - sum(drops[name]["dropped"].values())
    assert report.tables["edges"].used == store.open("graph").meta["counts"]["edges"]
