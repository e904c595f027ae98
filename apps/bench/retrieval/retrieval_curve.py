"""Quality of walks against steps and time: Recall@20 and NDCG@20 on your own train and test edges, as JSON and a plot.

python -m apps.bench.retrieval.retrieval_curve --train train.parquet --test test.parquet \\
    --svg docs/images/walk-quality.svg
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.retrieval.walks import DEFAULTS, evaluate_retrieval

STEPS = (2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)


def curve(train: pa.Table, test: pa.Table, board: str, pin: str, boards: int, seed: int = 0) -> list[dict[str, float]]:
    """One row for each of STEPS: steps, recall@20, ndcg@20, ms (CPU a board, scoring and set-up included).

    `boards` are drawn from the test boards; parameters other than the steps are the defaults of the evaluation.
    """
    known = np.unique(test[board].to_numpy())
    drawn = np.random.default_rng(seed).choice(known, min(boards, known.size), replace=False)
    few = test.filter(pa.array(np.isin(test[board].to_numpy(), drawn)))
    rows = []
    for steps in STEPS:
        began = time.process_time()
        found = evaluate_retrieval(train, few, board, pin, 20, replace(DEFAULTS, steps=steps), seed)
        ms = 1e3 * (time.process_time() - began) / found["boards"]
        rows.append({"steps": steps, "recall@20": found["recall@20"], "ndcg@20": found["ndcg@20"], "ms": ms})
    return rows


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Both metrics against steps and against milliseconds."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    _, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    for axis, x, label in ((axes[0], "steps", "steps"), (axes[1], "ms", "ms CPU a board")):
        for metric in ("recall@20", "ndcg@20"):
            axis.plot([row[x] for row in rows], [row[metric] for row in rows], marker="o", label=metric)
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    pyplot.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--board", default="board_id")
    parser.add_argument("--pin", default="pin_id")
    parser.add_argument("--boards", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    found = curve(pq.read_table(options.train), pq.read_table(options.test), options.board, options.pin, options.boards)
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found))
    if options.svg:
        plot(found, options.svg)
