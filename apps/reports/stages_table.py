"""Stages side by side for a terminal: a row an order, and below it what is missing and what is worse than before."""

from collections.abc import Sequence

from apps.reports.stages_quality import StageQuality
from apps.tables import Table

ABREAST = 3
"""Parts of the requests in one table."""


def stages_table(title: str, runs: Sequence[StageQuality]) -> Table:
    """Means over `runs` (seeds), with the first run's interval from resampled users."""
    first = runs[0]
    seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
    table = Table(title=f"{title}: {first.requests:,} requests of {first.users:,} users{seeds}")
    for heading in ("order", *(_heading(figure) for figure in first.figures)):
        table.add_column(heading)
    for name, said in first.titles.items():
        if any(name in row for run in runs for row in run.figures.values()):
            table.add_row(said, *(_cell(runs, figure, name) for figure in first.figures))
        elif name in first.missing:
            table.add_row(said, *("–" for _ in first.figures))
    return table


def segments_tables(title: str, quality: StageQuality) -> list[Table]:
    """A row per order, a column per part of the requests: the first figure, with half of its interval.

    Of many parts `ABREAST` stand in a table, so that each can be read on a narrow terminal.
    """
    figure = next(iter(quality.figures), "")
    present = {n: said for n, said in quality.titles.items() if n in quality.figures.get(figure, {})}
    parts = list(quality.segments.items())
    tables = []
    for at in range(0, len(parts), ABREAST):
        table = Table(title=f"{title}, by part of the requests: {_heading(figure)}")
        table.add_column("order")
        for name, part in parts[at : at + ABREAST]:
            table.add_column(f"{name}: {part.requests:,} requests")
        for order, said in present.items():
            found = [part.figures.get(figure, {}).get(order) for _, part in parts[at : at + ABREAST]]
            table.add_row(
                said, *("–" if i is None or not i.n else f"{i.mean:.3f} ±{(i.high - i.low) / 2:.3f}" for i in found)
            )
        tables.append(table)
    return tables


def _heading(figure: str) -> str:
    metric, _, k = figure.partition("@")
    return f"{metric.upper() if metric == 'ndcg' else metric.capitalize()}@{k}"


def _cell(runs: Sequence[StageQuality], figure: str, name: str) -> str:
    found = [run.figures[figure][name] for run in runs if name in run.figures[figure]]
    text = f"{sum(i.mean for i in found) / len(found):.4f} [{found[0].low:.4f}, {found[0].high:.4f}]"
    return text if len(found) == len(runs) else f"{text} in {len(found)} of {len(runs)} seeds"


def remarks(runs: Sequence[StageQuality]) -> list[str]:
    """Lines below the table: which orders are missing and why, and per seed whether a stage is worse than before."""
    out = []
    for seed, run in enumerate(runs):
        at = f"seed {seed}: " if len(runs) > 1 else ""
        out += [f"{at}{run.titles.get(name, name)}: {why}" for name, why in run.missing.items()]
        worse = run.worse()
        out += [f"{at}{line}" for line in worse] or [f"{at}no stage is worse than the one before"]
    return out
