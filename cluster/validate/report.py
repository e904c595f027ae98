"""What validation found, as text for people and as JSON for scripts. Knows nothing of how it was found."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One line. `kind`: error (must be fixed), dropped (rows not used), changed (values now missing), noted (kept)."""

    kind: str
    table: str
    what: str
    fix: str
    file: str | None = None
    column: str | None = None
    row: int | None = None  # in the file, from 0; the first one when there are several
    count: int = 1

    @property
    def text(self) -> str:
        """`kind count: what (where): fix`."""
        parts = [self.file or "", f"column {self.column!r}" if self.column else ""]
        if self.row is not None:
            parts.append(f"{'row' if self.kind == 'error' else 'first at row'} {self.row}")
        where = ", ".join(part for part in parts if part)
        head = "ERROR" if self.kind == "error" else f"{self.kind} {self.count:,}"
        return f"{head}: {self.what}{f' ({where})' if where else ''}: {self.fix}"


@dataclass
class TableReport:
    """One input: its files and rows, the rows that a build would use, and the findings."""

    files: int = 0
    rows: int = 0
    used: int = 0
    findings: list[Finding] = field(default_factory=list)
    about: str = ""  # what the first line says, instead of files and rows
    remark: str = ""  # of the table as a whole

    @property
    def errors(self) -> list[Finding]:
        """The findings that must be fixed."""
        return [f for f in self.findings if f.kind == "error"]


@dataclass
class Report:
    """All inputs of a project."""

    tables: dict[str, TableReport] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether a build can go ahead."""
        return not any(table.errors for table in self.tables.values())

    @property
    def errors(self) -> list[Finding]:
        """The errors of all tables."""
        return [f for table in self.tables.values() for f in table.errors]

    def text(self) -> str:
        """One line a table, one line a finding, and a last line with the verdict."""
        lines = []
        for name, table in self.tables.items():
            counted = f"{table.rows:,} rows in {table.files} file(s), {table.used:,} used"
            lines.append(f"{name}: {table.about or counted}")
            lines += [f"  {table.remark}"] if table.remark else []
            lines += [f"  {finding.text}" for finding in table.findings]
        errors = len(self.errors)
        lines.append(
            "ok: the build can go ahead" if self.ok else f"{errors} error(s): correct them, then validate again"
        )
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON-able values."""
        return {"ok": self.ok, "tables": {name: asdict(table) for name, table in self.tables.items()}}
