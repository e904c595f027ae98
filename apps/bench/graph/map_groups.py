"""What `groupby().map_groups` costs in Ray Data beyond the work itself.

The work is to sort 3M edges within 16 ranges of boards. The same rows and the same NumPy sort in four ways: in this
process; as one Ray task a range, each given the rows of its range; through `map_groups` in a fresh Ray, again in the
same one, and told that there are 16 parts. `operators` is Ray Data's own account of the second run. It is why the graph
build cuts its ranges itself (cluster/graph/build.py).
"""

import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from apps.bench.machine import machine, versions
from cluster import session

ROWS = 3_000_000
PARTS = 16
BOARDS = 500_000


def sorted_pins(board: np.ndarray, pin: np.ndarray) -> np.ndarray:
    """The work: pins of one range in the order of (board, pin)."""
    return (np.sort(board.astype(np.int64) << 32 | pin) & 0xFFFFFFFF).astype(np.int32)


def seconds(call: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    call()
    return round(time.perf_counter() - start, 2)


def operators_of(data: Any) -> list[str]:
    """Ray Data's line for each operator of a dataset that has run."""
    return [": ".join(found) for found in re.findall(r"Operator \d+ (.+?): (\d+ tasks executed.*)", data.stats())]


def run(quick: bool = False) -> dict[str, Any]:
    """Seconds of each way, and of Ray Data's operators."""
    import ray

    rng = np.random.default_rng(0)
    rows = ROWS // 30 if quick else ROWS
    board = rng.integers(0, BOARDS, rows).astype(np.int32)
    pin = rng.integers(0, 2_000_000, rows).astype(np.int32)
    part = (board * PARTS // BOARDS).astype(np.int8)

    def alone() -> list[np.ndarray]:
        return [sorted_pins(board[part == p], pin[part == p]) for p in range(PARTS)]

    def tasks() -> list[Any]:
        work = ray.remote(sorted_pins)
        return ray.get([work.remote(board[part == p], pin[part == p]) for p in range(PARTS)])  # type: ignore[no-any-return]

    kept: list[Any] = []

    def grouped(partitions: int | None = None) -> None:
        table = pa.table({"part": part, "board": board, "pin": pin})
        blocks = [table.slice(at, rows // 8 + 1) for at in range(0, rows, rows // 8 + 1)]
        data = (
            ray.data.from_arrow(blocks)
            .groupby("part", partitions)
            .map_groups(lambda group: {"pin": sorted_pins(group["board"], group["pin"])}, batch_format="numpy")
        )
        kept.append(data.materialize())

    found = {"work_in_process": seconds(alone)}
    with session.session(num_cpus=2, dashboard=False):
        found["tasks_cold"] = seconds(tasks)
        found["tasks_warm"] = seconds(tasks)
        found["map_groups_cold"] = seconds(grouped)
        found["map_groups_warm"] = seconds(grouped)
        operators = operators_of(kept[-1])
        found["map_groups_as_many_partitions_as_parts"] = seconds(lambda: grouped(PARTS))
        if kept[-1].count() != rows:
            raise AssertionError("rows are lost: the comparison would mean nothing")
    return {
        "rows": rows,
        "parts": PARTS,
        "seconds": found,
        "operators": operators,
        "machine": machine(),
        "versions": versions("ray", "numpy", "pyarrow"),
    }


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
