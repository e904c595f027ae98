"""The whole funnel on MovieLens, without a serving log: backfill, train, and judge every stage on later time.

    python examples/movielens/run.py --ratings R.parquet --items I.parquet --users U.parquet --json OUT

Works on any files with these columns: ratings (user_id, item_id, rating, rated_at), items (item_id, genres,
release_year), users (user_id, age, gender, occupation); items and users may be left out.
"""

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from prepare import prepare
from rich.table import Table

from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.console import console, guarded, progress_bar
from apps.project import open_project
from apps.reports.stages import ORDERS, evaluate_stages
from cluster import session
from cluster.catalog.build import build_catalog
from training.full.train import train_full_ranker
from training.lightweight.train import train_lightweight

CLIENT = "movies"
TITLES = {
    "popularity": "popularity",
    "visit_count": "visit count",
    "visit_count_corrected": "visit count / √degree",
    "lightweight": "lightweight ranker",
    "full": "full ranker",
}


def run_once(
    work: Path, ratings: Path, items: Path | None, users: Path | None, seed: int, split: float
) -> dict[str, Any]:
    """One seed: backfill before the split, train both rankers, evaluate after it."""
    path = prepare(work, ratings, items, users, seed)
    opened = open_project(path)
    replay = Replay(opened)
    cut = replay.moment(split)
    with progress_bar() as bar:
        plan = ReplayPlan(graphs=6, every=10, until=cut, since=replay.moment(0.15), seed=seed)
        filled = backfill(replay, CLIENT, plan, bar.count("backfill", "moments"))
        build_catalog(opened.project, replay.process.store, edges_before=cut, in_memory=True)
        store, logs = replay.process.store, replay.process.logs
        light = train_lightweight(
            opened.project, opened.clients[CLIENT], store, logs, held_out_share=0.1, progress=bar.at("lightweight")
        )
        full = train_full_ranker(
            opened.project, opened.clients, store, logs, held_out_share=0.1, progress=bar.at("full")
        )
        fresh = Replay(opened)
        fresh.process.watcher("lightweight", "full").poll()
        after = ReplayPlan(graphs=4, every=10, since=cut, seed=seed + 1)
        quality = evaluate_stages(fresh, CLIENT, after, progress=bar.at("evaluate"))
    return {
        "seed": seed,
        "split_at": cut.isoformat(),
        "backfill": {**asdict(filled), "reach": filled.reach},
        "lightweight": {"published": light.published, "reason": light.reason},
        "full": {"published": full.published, "reason": full.reason},
        "quality": quality.as_json(),
    }


def show(runs: list[dict[str, Any]]) -> None:
    """The table: mean over seeds, with the first seed's interval from resampled requests."""
    first = runs[0]["quality"]
    table = Table(title=f"Held-out time: {first['requests']} requests of {first['users']} users, {len(runs)} seed(s)")
    for heading in ("order", f"Recall@{first['recall_at']}", f"NDCG@{first['ndcg_at']}"):
        table.add_column(heading)
    for name in ORDERS:
        if name in first["recall"]:
            cells = [
                f"{sum(r['quality'][m][name]['mean'] for r in runs) / len(runs):.4f} "
                f"[{first[m][name]['low']:.4f}, {first[m][name]['high']:.4f}]"
                for m in ("recall", "ndcg")
            ]
            table.add_row(TITLES[name], *cells)
    console.print(table)


def main(
    ratings: Annotated[Path, typer.Option(exists=True, help="user_id, item_id, rating, rated_at")],
    items: Annotated[Path | None, typer.Option(exists=True, help="item_id, genres, release_year")] = None,
    users: Annotated[Path | None, typer.Option(exists=True, help="user_id, age, gender, occupation")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
    work: Annotated[Path | None, typer.Option(help="keep project, logs and bundles here")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="runs with seeds 0, 1, …")] = 1,
    split: Annotated[
        float, typer.Option(min=0.3, max=0.95, help="share of ratings that lies before held-out time")
    ] = 0.8,
) -> None:
    """Backfill, train and judge the funnel on a ratings file."""
    began = time.perf_counter()
    with guarded(), session.session(dashboard=False):
        runs = []
        for seed in range(seeds):
            folder = Path(tempfile.mkdtemp()) if work is None else work / f"seed-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            runs.append(run_once(folder, ratings, items, users, seed, split))
        report = {"runs": runs, "seconds": time.perf_counter() - began}
        show(runs)
        if out is not None:
            out.write_text(json.dumps(report, indent=1))
            console.print(f"figures: {out}")


if __name__ == "__main__":
    typer.run(main)
