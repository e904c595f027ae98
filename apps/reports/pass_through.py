"""How far each source's candidates come, for a terminal and as an HTML page."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from apps.reports.page import interval_text, plain_table, write_page
from apps.reports.plots import line_chart
from apps.tables import Table
from training.report.pass_through import STEPS

HEADS = ("source", "asked", "found", "survived", "chosen", "answered", "acted on")
OF_ALL = ("source", *HEADS[2:])
EVERY = "all sources"

Tell = Callable[[dict[str, Any]], str]


def percent(value: dict[str, Any]) -> str:
    """The mean alone."""
    return "–" if value["mean"] is None else f"{100 * value['mean']:.1f} %"


def pass_through_tables(client: str, report: dict[str, Any]) -> list[Table]:
    """How far each source's candidates come; and of what came so far from any source, which share it alone found."""
    title = f"{client}: {report['requests']:,} answered requests, how far candidates came"
    alone = f"{client}: share of all that no other source had found"
    return [
        _table(title, HEADS, _passed(report, percent)),
        _table(alone, OF_ALL, _shares(report, "alone_of_all", percent)),
    ]


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for heading in heads:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    return table


def remarks(client: str, report: dict[str, Any]) -> list[str]:
    """What is not counted, a line each."""
    left = report["left_out"]
    lines = [f"{left['replayed']:,} replayed requests left out: nobody was shown an answer"] * bool(left["replayed"])
    old = left["without_sources"]
    lines += [f"{old:,} requests left out: their log does not say which source found what"] * bool(old)
    return [f"{client}: {line}" for line in [*lines, *report["notes"]]]


def write_pass_through(reports: Mapping[str, dict[str, Any]], path: str | Path) -> Path:
    """Write the page of these clients' reports (`training.report.pass_through`). Returns the path."""
    body = [
        "<h1>Sources of candidates, from the serving log</h1>",
        "<p>How many candidates each source found, and how many of them the lightweight stage kept (<b>survived</b>), "
        "the ranking had among its best, as many as were answered (<b>chosen</b>), were <b>answered</b> after policy "
        "and exploration, and were <b>acted on</b>. A candidate of several sources counts for each of them. Intervals "
        "of 95 % resample groups of users.</p>",
    ]
    for client, report in reports.items():
        lines = {
            name: [row["of_all"][step]["mean"] or 0.0 for step in STEPS] for name, row in report["sources"].items()
        }
        body += [
            f"<h2>{escape(client)}</h2><p class='note'>{report['requests']:,} answered requests</p>",
            *(f"<p class='note'>{escape(line)}</p>" for line in remarks(client, report)),
            plain_table(HEADS, _passed(report, interval_text)),
            "<h3>Share of all candidates that came so far</h3>",
            line_chart(f"Share of all candidates by source and stage, {client}", OF_ALL[1:], lines),
            plain_table(OF_ALL, _shares(report, "of_all", interval_text)),
            "<h3>Share of all that no other source had found</h3>",
            plain_table(OF_ALL, _shares(report, "alone_of_all", interval_text)),
        ]
    return write_page(path, "Sources of candidates, from the serving log", body)


def _passed(report: dict[str, Any], tell: Tell) -> list[list[str]]:
    return [
        [name, f"{of['requests']:,}", f"{of['found']:,}", *(f"{of[s]:,}: {tell(of['passed'][s])}" for s in STEPS[1:])]
        for name, of in {**report["sources"], EVERY: report["all"]}.items()
    ]


def _shares(report: dict[str, Any], which: str, tell: Tell) -> list[list[str]]:
    return [[name, *(tell(of[which][step]) for step in STEPS)] for name, of in report["sources"].items()]
