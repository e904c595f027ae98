"""Replay of MovieLens 100K: one process against workers on Ray, and bytes a request.

Every way replays the same moments into a project of its own: all candidates logged and a sample of them by one process,
the sample by Ray's workers. The first moments of each process load compiled kernels, which is counted in.

    PINFUNNEL_DATA=FOLDER_WITH_ml-100k python -m apps.bench.learning.backfill [--quick] [--workers 2]
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.backfill.workers import workers_up
from apps.bench.machine import machine
from apps.project import open_project
from cluster.errors import ConfigError

CLIENT = "homefeed"
ALL = 1_000_000
"""More candidates than any walk finds."""


def write_project(data: Path, folder: Path) -> Path:
    """Ratings from 4 up as boards of users, all ratings as actions; returns the path of `pinfunnel.yaml`."""
    ratings = pq.read_table(data)
    liked = ratings.filter(pc.greater_equal(ratings["rating"], 4))
    edges = {"board_id": liked["user_id"], "pin_id": liked["item_id"], "saved_at": liked["rated_at"]}
    action = pc.if_else(pc.greater_equal(ratings["rating"], 4), "save", "click")
    events = {"user_id": ratings["user_id"], "pin_id": ratings["item_id"], "action": action}
    pq.write_table(pa.table(edges), folder / "edges.parquet")
    pq.write_table(pa.table({**events, "occurred_at": ratings["rated_at"]}), folder / "events.parquet")
    inputs = {"edges": {"path": "edges.parquet"}, "events": {"path": "events.parquet"}}
    path = folder / "pinfunnel.yaml"
    path.write_text(yaml.safe_dump({"ids": "int64", "data": inputs}))
    return path


def one_way(data: Path, folder: Path, plan: ReplayPlan, workers: int) -> dict[str, Any]:
    """Moments a second, and bytes a request of the serving log, of one replay."""
    folder.mkdir()
    replay = Replay(open_project(write_project(data, folder)))
    counted: list[int] = []
    began = time.perf_counter()
    done = backfill(replay, CLIENT, plan, lambda _, total: counted.append(total), workers)
    seconds = time.perf_counter() - began
    files = replay.process.logs.serving_files(CLIENT).files
    return {
        "workers": workers,
        "unseen": plan.unseen,
        "requests": done.requests,
        "candidates_a_request": round(done.candidates / done.requests, 1),
        "moments_a_second": round(counted[-1] / seconds, 1),
        "bytes_a_request": round(sum(file.bytes for file in files) / done.requests),
    }


def run(quick: bool = False, workers: int = 2) -> dict[str, Any]:
    """Figures of the three ways, in their order. Raises ConfigError without the data."""
    data = Path(os.environ.get("PINFUNNEL_DATA", "")) / "ml-100k" / "ratings.parquet"
    if not data.is_file():
        raise ConfigError("set PINFUNNEL_DATA to the folder that holds ml-100k/ratings.parquet")
    every = 160 if quick else 20
    sampled = ReplayPlan(graphs=3, every=every)
    whole = ReplayPlan(graphs=3, every=every, unseen=ALL)
    with tempfile.TemporaryDirectory() as scratch, workers_up(workers):
        folder = Path(scratch)
        ways = [
            one_way(data, folder / "all", whole, 1),
            one_way(data, folder / "one", sampled, 1),
            one_way(data, folder / "workers", sampled, workers),
        ]
    return {"machine": machine(), "ways": ways}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args()
    print(json.dumps(run(told.quick, told.workers), indent=1))
