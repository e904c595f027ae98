"""Whom a batch answers: ids of users or pins from a Parquet file, a folder of them, or a text file. Each once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from cluster.contract.ids import IdContract
from cluster.control.id_files import read_ids
from cluster.data.inputs import open_input
from cluster.data.schema import InputColumn, id_type
from cluster.errors import DataError
from cluster.settings.project import Project, Source

Kind = Literal["user", "pin"]


@dataclass(frozen=True)
class Subjects:
    """`ids`: int64[n] or object[n] of text, in the order of the file. `bad`: what is wrong with each row left out."""

    ids: np.ndarray
    bad: tuple[str, ...]
    repeated: int  # rows whose id stands above


def read_subjects(project: Project, path: Path, kind: Kind) -> Subjects:
    """The ids of a file. In Parquet the column has the name that `data.users` or `data.pins` gives it.

    A row that is no id is left out alone, and named. Raises DataError for a file without any id or of another form.
    """
    contract = IdContract(project.ids)
    if path.is_file() and path.suffix != ".parquet":
        found, bad = read_ids(path, contract)
        return _each_once(found, bad, contract)
    column = InputColumn(f"{kind}_id", id_type(project.ids), nullable=True)
    source: Source | None = getattr(project.data, f"{kind}s")
    mapped = {} if source is None else {n: t for n, t in source.columns.items() if n == column.name}
    given = open_input(f"{kind}s", Source(path=str(path), columns=mapped), [column], f"--{kind}s")
    values: list[object] = []
    faults: list[str] = []
    for batch in given.batches():
        for row, value in enumerate(batch.table.column(0).to_pylist(), batch.first_row):
            if reason := contract.fault(value):
                faults.append(f"{batch.file}, row {row}: {reason}")
            else:
                values.append(value)
    if not values:
        raise DataError(faults[0] if faults else f"--{kind}s: {path}: it has no row")
    return _each_once(values, faults, contract)


def _each_once(values: Sequence[object], bad: list[str], contract: IdContract) -> Subjects:
    once = list(dict.fromkeys(values))
    ids = np.array(once, np.int64 if contract.kind == "int64" else object)
    return Subjects(ids, tuple(bad), len(values) - len(once))


def array_of(ids: np.ndarray, project: Project) -> pa.Array:
    """As a column of the answers."""
    return pa.array(ids.tolist(), id_type(project.ids))


def told(subjects: Subjects, kind: Kind, most: int = 10) -> list[str]:
    """What was left out, in lines to print."""
    lines = [f"{subjects.repeated:,} repeated {kind}s count once"] if subjects.repeated else []
    if subjects.bad:
        lines.append(f"LEFT OUT: {len(subjects.bad):,} row(s) that are no ids of this project")
        lines += [f"  {line}" for line in subjects.bad[:most]]
    return lines
