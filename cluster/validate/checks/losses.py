"""The check of every input's counts: whether more rows are dropped than the settings allow."""

from cluster.validate.examination import Examination
from cluster.validate.fixes import fix_of
from cluster.validate.report import Finding

NO_LOSS = ("there twice", "more than once", "graph.m", "in the graph")
"""Parts of reasons for which a dropped row does not count as lost: repeats, a setting, events of unknown pins."""
FEW_ROWS = 100
"""Of so few rows a share says little: they are an error only when none is left."""


def check_losses(run: Examination) -> None:
    """An error, first of its table, where more than `data.allow_drops` of the rows are lost."""
    allowed = run.project.data.allow_drops
    for name, table in run.report.tables.items():
        dropped = [f for f in table.findings if f.kind == "dropped" and not any(part in f.what for part in NO_LOSS)]
        lost = sum(f.count for f in dropped)
        share = lost / max(table.rows, 1)
        if share <= allowed or table.errors or (table.rows < FEW_ROWS and table.used):
            continue
        often = max(dropped, key=lambda finding: finding.count)
        what = f"{lost:,} of {table.rows:,} rows are dropped, most of them because {often.what}"
        fix = f"{fix_of(often.what)}; to go on without them: `data.allow_drops` in pinfunnel.yaml, or `--allow-drops 1`"
        table.findings.insert(0, Finding("error", name, what, fix, often.file, often.column, often.row, lost))
