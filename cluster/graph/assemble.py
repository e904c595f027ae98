"""Copies the shards of a build into the files of `cluster.graph.csr`, one after the other. Knows nothing of Ray."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.graph.files import write_facts
from cluster.graph.ids import IdMap
from cluster.graph.packing import pack_offsets
from cluster.graph.partition import PartitionPlan, read_ids
from cluster.progress import Progress


def assemble(
    plan: PartitionPlan, folder: Path, counts: np.ndarray, locales: list[str] | None, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Writes `folder`; returns, per pin, the dated and the recent edges (int32[n_pins]).

    `counts` int64[pin ranges, locales] are the pins of each group; they come in the order of (locale, id).
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = len(plan.board_bounds) + 1
    pin_parts = len(plan.pin_bounds) + 1
    n_edges = sum(plan.facts("finish", at)["edges"] for at in range(parts))
    ends = np.cumsum(counts, axis=1)
    cells = [(j, c) for c in range(counts.shape[1]) for j in range(pin_parts)]
    segments = [(j, int(ends[j, c] - counts[j, c]), int(ends[j, c])) for j, c in cells]

    def load(name: str) -> list[np.ndarray]:
        return [np.load(plan.path("pins", j) / f"{name}.npy", mmap_mode="r") for j in range(pin_parts)]

    def by_segment(name: str) -> np.ndarray:
        shards_ = load(name)
        return np.concatenate([shards_[j][start:end] for j, start, end in segments])

    out = np.lib.format.open_memmap(folder / "pin_boards.npy", "w+", np.int32, (n_edges,))
    offsets = [np.concatenate([[0], np.cumsum(degree)]).astype(np.int64) for degree in load("degree")]
    rows = load("boards")
    filled = 0
    for j, start, end in segments:
        segment = rows[j][offsets[j][start] : offsets[j][end]]
        out[filled : filled + len(segment)] = segment
        filled += len(segment)
    progress("assemble", 0.5)
    np.save(folder / "pin_index.npy", _packed(by_segment("degree")))
    ids = [read_ids(plan.path("pins", j), "ids") for j in range(pin_parts)]
    pin_ids = IdMap.from_ids(pa.concat_arrays([ids[j].slice(start, end - start) for j, start, end in segments]))
    pin_ids.save(folder, "pins")
    out = np.lib.format.open_memmap(folder / "board_pins.npy", "w+", np.int32, (n_edges,))
    degrees = []
    filled = 0
    for i in range(parts):
        shard = np.load(plan.path("finish", i) / "pins.npy", mmap_mode="r")
        out[filled : filled + len(shard)] = shard
        filled += len(shard)
        degrees.append(np.diff(np.load(plan.path("boards", i) / "offsets.npy", mmap_mode="r")))
    np.save(folder / "board_index.npy", _packed(np.concatenate(degrees)))
    board_ids = IdMap.from_ids(pa.concat_arrays([read_ids(plan.path("boards", i), "board_ids") for i in range(parts)]))
    board_ids.save(folder, "boards")
    if locales:
        np.save(folder / "locale_bounds.npy", np.concatenate([[0], np.cumsum(counts.sum(axis=0))]).astype(np.int64))
    write_facts(folder, len(pin_ids), len(board_ids), n_edges, locales)
    progress("assemble", 1.0)
    return by_segment("dated"), by_segment("recent")


def _packed(degree: np.ndarray) -> np.ndarray:
    return pack_offsets(np.concatenate([[0], np.cumsum(degree, dtype=np.int64)]).astype(np.int64))
