"""The whole funnel on MovieLens, without a serving log: backfill, train, and judge every stage on later time.

    python examples/movielens/run.py --ratings R.parquet --items I.parquet --users U.parquet --json OUT

Works on any files with these columns: ratings (user_id, item_id, rating, rated_at), items (item_id, genres,
release_year), users (user_id, age, gender, occupation); items and users may be left out.
"""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from prepare import prepare

from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.bench.recommenders.panel import PeerPanel, recommenders
from apps.console import console, guarded, progress_bar
from apps.project import open_project
from apps.reports.stages import evaluate_stages
from apps.reports.stages_protocol import positive_actions, protocol_lines, protocol_of
from apps.reports.stages_quality import StageQuality
from apps.reports.stages_table import remarks, stages_table
from cluster import session
from cluster.catalog.build import build_catalog
from cluster.errors import PinfunnelError
from training.full.train import train_full_ranker
from training.lightweight.train import train_lightweight

CLIENT = "movies"


def run_once(
    work: Path, ratings: Path, items: Path | None, users: Path | None, seed: int, split: float, slow_peers: bool
) -> tuple[dict[str, Any], StageQuality]:
    """One seed: backfill before the split, train both rankers, evaluate after it. What was done, and the quality."""
    path = prepare(work, ratings, items, users, seed)
    opened = open_project(path)
    replay = Replay(opened)
    cut = replay.moment(split)
    with progress_bar() as bar:
        plan = ReplayPlan(graphs=6, every=10, until=cut, since=replay.moment(0.15), seed=seed)
        filled = backfill(replay, CLIENT, plan, bar.count("backfill", "moments"))
        build_catalog(opened.project, replay.process.store, edges_before=cut, in_memory=True)
        store, logs = replay.process.store, replay.process.logs
        light = outcome(
            lambda: train_lightweight(
                opened.project, opened.clients[CLIENT], store, logs, held_out_share=0.1, progress=bar.at("lightweight")
            )
        )
        full = outcome(
            lambda: train_full_ranker(
                opened.project, opened.clients, store, logs, held_out_share=0.1, progress=bar.at("full")
            )
        )
        fresh = Replay(opened)
        fresh.process.watcher("lightweight", "full").poll()
        after = ReplayPlan(graphs=4, every=10, since=cut, seed=seed + 1)
        peers = PeerPanel(fresh.history, positive_actions(opened, CLIENT), recommenders(slow_peers))
        quality = evaluate_stages(fresh, CLIENT, after, progress=bar.at("evaluate"), more=peers)
    done = {
        "seed": seed,
        "split_at": cut.isoformat(),
        "backfill": {**asdict(filled), "reach": filled.reach},
        "lightweight": light,
        "full": full,
        "quality": quality.as_json(),
        "protocol": protocol_of(fresh, CLIENT, after, quality),
    }
    return done, quality


def outcome(train: Callable[[], Any]) -> dict[str, Any]:
    """Whether a model was published, and the reason; a log that cannot be learned from is such a reason, too."""
    try:
        done = train()
    except PinfunnelError as error:
        return {"published": False, "reason": str(error)}
    return {"published": done.published, "reason": done.reason}


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
    slow_peers: Annotated[bool, typer.Option(help="SASRec too: minutes a seed")] = False,
    protocol: Annotated[bool, typer.Option(help="also print how the orders were judged")] = False,
) -> None:
    """Backfill, train and judge the funnel on a ratings file."""
    began = time.perf_counter()
    with guarded(), session.session(dashboard=False):
        runs: list[dict[str, Any]] = []
        found: list[StageQuality] = []
        for seed in range(seeds):
            folder = Path(tempfile.mkdtemp()) if work is None else work / f"seed-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            done, quality = run_once(folder, ratings, items, users, seed, split, slow_peers)
            runs.append(done)
            found.append(quality)
        report = {"runs": runs, "seconds": time.perf_counter() - began}
        console.print(stages_table("Held-out time", found))
        trained = [
            f"seed {run['seed']}, {kind}: {run[kind]['reason']}" for run in runs for kind in ("lightweight", "full")
        ]
        asked = protocol_lines(runs[0]["protocol"]) if protocol else []
        for line in [*trained, *remarks(found), *asked]:
            console.print(line, highlight=False)
        if out is not None:
            out.write_text(json.dumps(report, indent=1))
            console.print(f"figures: {out}")


if __name__ == "__main__":
    typer.run(main)
