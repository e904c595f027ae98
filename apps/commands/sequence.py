"""evaluate sequence: the encoder of users' sequences on one file of interactions, beside what is popular."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from apps.commands.options import JsonFile, Seed
from apps.console import console, guarded, progress_bar, read_parquet, write_json


def evaluate_sequence(
    interactions: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Parquet: a row for each action")],
    user: Annotated[str, typer.Option(help="column of the user")] = "user_id",
    item: Annotated[str, typer.Option(help="column of the item")] = "item_id",
    time: Annotated[
        str, typer.Option(help="column of the time: a timestamp, a date, or a number of seconds or steps")
    ] = ("occurred_at"),
    k: Annotated[int, typer.Option("-k", min=1, help="cut of recall and NDCG")] = 10,
    protocol: Annotated[
        Literal["leave-one-out", "time-split"],
        typer.Option(help="find each user's last action, or the first one behind the last tenth of all"),
    ] = "leave-one-out",
    epochs: Annotated[int, typer.Option(min=1, help="times that every action is learnt from")] = 40,
    minutes: Annotated[float, typer.Option(min=0.1, help="learn for no longer than about so long")] = math.inf,
    seed: Seed = 0,
    out: JsonFile = None,
) -> None:
    """Recall@k and NDCG@k of the next item, ranked among all items, by an encoder of what users did before.

    What a user has had is left out of the ranking; the figures with it in stand beside. Actions at the same time keep
    the order of the file. The last seven days' most popular items are ranked in the same way.
    """
    from cluster.extras import require_torch

    with guarded():
        require_torch("the encoder of users' sequences")
        from training.retrieval.fit import FitSettings
        from training.retrieval.next_item import evaluate_sequence as evaluate

        settings = FitSettings(epochs=epochs, minutes=minutes, seed=seed)
        with progress_bar() as bars:
            figures = evaluate(read_parquet(interactions), user, item, time, k, protocol, settings, bars.at("sequence"))
        console.print(_table(figures, k))
        write_json(out, figures)


def _table(figures: dict[str, Any], k: int) -> Table:
    table = Table(
        title=f"Next item, {figures['cases']:,} users, {figures['items']:,} items, {figures['seconds']:.0f} s, "
        f"{figures['parameters']:,} parameters"
    )
    names = [f"recall@{k}", f"ndcg@{k}", f"recall@{k}_with_seen", f"ndcg@{k}_with_seen", f"coverage@{k}"]
    for heading in ("", *(name.replace("_", " ") for name in names)):
        table.add_column(heading)
    for title, row in (("encoder", figures), ("popular, 7 days", figures["popular_7_days"])):
        table.add_row(title, *(f"{row[name]:.4f}" for name in names))
    return table
