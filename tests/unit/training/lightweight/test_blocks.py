"""A client's examples lie in the order of their requests, whichever block they came in."""

from typing import Any

import numpy as np
import pyarrow as pa

from training.lightweight.blocks import SCHEMA, block_of, in_order


def block(*requests: tuple[int, int, float]) -> pa.Table:
    """Requests of (client, moment, draw), with two examples each."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for client, at, draw in requests:
        row = {"client": client, "requested_at": at, "draw": draw, "request_weight": 1.0}
        lists = dict.fromkeys(("label", "weight", "grade"), np.array([draw, at], np.float32))
        lists |= {"x": np.array([at, at, draw, draw], np.float32), "class": np.array([0, 1], np.int8)}
        for name, value in (row | lists).items():
            columns[name].append(value)
    return block_of(columns)


def test_blocks_in_any_order_give_one_table() -> None:
    one, two = block((0, 5, 0.1), (1, 4, 0.2), (0, 1, 0.9)), block((0, 5, 0.05), (0, 3, 0.4))
    made = in_order(0, one, two)
    assert made.column("draw").to_pylist() == [0.9, 0.4, 0.05, 0.1]  # by time, then draw
    assert made.column("x").to_pylist()[0] == [1.0, 1.0, np.float32(0.9), np.float32(0.9)]
    assert made.equals(in_order(0, two, one))
    assert made.schema == one.schema
    assert in_order(1, one, two).num_rows == 1
