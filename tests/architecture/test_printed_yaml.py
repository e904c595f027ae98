"""The YAML that pages print works as printed: projects pass validation on files of such columns, clients load."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.data.inputs import contract
from cluster.data.schema import InputColumn
from cluster.settings.access import load_keys
from cluster.settings.clients import load_client
from cluster.settings.project import Project, Source
from cluster.validate.validation import validate
from tests.architecture.repository import ROOT, pages

TEXT = {str(page): (ROOT / page).read_text() for page in pages()}
BLOCKS = [(page, block) for page, text in TEXT.items() for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
PROJECTS = [(page, block) for page, block in BLOCKS if re.search(r"^data:", block, re.M)]
KEY_FILES = [(page, block) for page, block in BLOCKS if block.startswith("# keys.yaml")]
CLIENTS = [(page, block) for page, block in BLOCKS if block.startswith("# clients/")]

ROWS = 6


def values(column: InputColumn, project: Project) -> Any:
    """Six values of a column's type, as a user might store them."""
    if column.name.endswith("_id"):
        return pa.array([f"{column.name} {row}" for row in range(ROWS)] if project.ids == "string" else range(ROWS))
    if column.name == "action":
        return pa.array([project.actions[0]] * ROWS)
    if pa.types.is_timestamp(column.type):
        return pa.array([datetime(2026, 1, 1 + row, tzinfo=UTC) for row in range(ROWS)])
    if pa.types.is_fixed_size_list(column.type):
        return pa.array([[float(row + 1)] * column.type.list_size for row in range(ROWS)])
    if pa.types.is_list(column.type):
        return pa.array([["rock", "jazz"]] * ROWS)
    if column.name == "client":
        return pa.array(["homefeed"] * ROWS)
    if column.name == "position":
        return pa.array([0] * ROWS)
    if pa.types.is_floating(column.type):
        return pa.array([float(row) for row in range(ROWS)])
    return pa.array([f"value {row % 2}" for row in range(ROWS)])


def write(source: Source, columns: list[InputColumn], project: Project) -> None:
    """A file with what the source maps and what the contract requires, under the user's names."""
    present = [column for column in columns if column.required or column.name in source.columns]
    names = [source.columns.get(column.name, column.name) for column in present]
    path = Path(source.path)
    path = path if path.suffix else path / "part-0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table([values(column, project) for column in present], names=names), path)


@pytest.mark.parametrize(("page", "block"), PROJECTS, ids=[page for page, _ in PROJECTS])
def test_a_printed_project_passes_validation(page: str, block: str, tmp_path: Path) -> None:
    file = tmp_path / "pinfunnel.yaml"
    file.write_text(block)
    project = Project.load(file)
    for name, columns in contract(project).items():
        source = getattr(project.data, name)
        if source is None:
            continue
        if name == "events":  # whoever renames some of its columns is taken to have no others
            columns = [column for column in columns if column.name in source.columns]
        write(source, columns, project)
    report = validate(project)
    assert report.ok, f"{page}: {report.text()}"


@pytest.mark.parametrize(("page", "block"), CLIENTS, ids=[page for page, _ in CLIENTS])
def test_a_printed_client_loads(page: str, block: str, tmp_path: Path) -> None:
    name = re.match(r"# clients/(\w+\.yaml)", block)
    assert name is not None, page
    (tmp_path / name[1]).write_text(block)
    assert load_client(tmp_path / name[1]).name == Path(name[1]).stem


def test_the_pages_print_projects_clients_and_keys() -> None:
    assert {"README.md", "docs/data.md"} <= {page for page, _ in PROJECTS}
    assert CLIENTS
    assert KEY_FILES


@pytest.mark.parametrize(("page", "block"), KEY_FILES, ids=[page for page, _ in KEY_FILES])
def test_a_printed_file_of_keys_loads(page: str, block: str, tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text(block)
    assert load_keys(str(tmp_path / "keys.yaml")), page
