"""A replay of the toy world and what it wrote; and a driver that a test can kill.

python -m tests.worlds.replay FOLDER
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq

from apps.backfill import jobs
from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.project import open_project
from cluster.store.log_parts import read_part

PLAN = ReplayPlan(graphs=2, every=4, min_history=2, horizon_hours=240.0)
PIECE = 16
"""Moments a piece: the toy world has dozens of them only."""


def written(replay: Replay, client: str = "homefeed") -> tuple[dict[str, str], list[str]]:
    """Every row of the client's serving log by request id, as text without its graph, and all event ids, sorted.

    Fails when a request was written twice.
    """
    logs = replay.process.logs
    rows: dict[str, str] = {}
    for path in logs.serving_files(client).paths:
        for row in read_part(path).drop_columns(["graph_version"]).to_pylist():
            assert row["request_id"] not in rows, "written twice"
            rows[row["request_id"]] = repr(row)
    events: list[str] = []
    for path in logs.event_files().paths:
        events += pq.read_table(path, partitioning=None)["event_id"].to_pylist()
    return rows, sorted(events)


if __name__ == "__main__":
    jobs.PIECE_MOMENTS = PIECE
    backfill(
        Replay(open_project(Path(sys.argv[1]) / "pinfunnel.yaml")),
        "homefeed",
        PLAN,
        lambda done, total: print(done, total, flush=True),
    )
