"""Runs the blocks of a measure with Ray Data, one task a CPU. The saves go to the object store once, rows come back."""

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import ray
import ray.data

from cluster.graph.tasks import quiet
from cluster.progress import Progress
from cluster.similarity.build import BlockRows, MapBlocks, MeasureBlock
from cluster.similarity.saves import Saves

STEP = "measure likeness"


def blocks_on_ray(progress: Progress) -> MapBlocks:
    """Blocks in Ray's workers, in their order. Ray must be up."""

    def run(measure_block: MeasureBlock, saves: Saves, blocks: list[np.ndarray]) -> Iterator[BlockRows]:
        task = _OneBlock(ray.put(saves.prepared()), measure_block)
        rows: dict[int, bytes] = {}
        progress(STEP, 0.0)
        with quiet():
            items = [{"at": at, "pins": pins} for at, pins in enumerate(blocks)]
            work = ray.data.from_items(items, override_num_blocks=len(items)).map(task, num_cpus=1)
            for row in work.iter_rows():
                rows[row["at"]] = row["rows"]
                progress(STEP, len(rows) / len(blocks))
        return (pickle.loads(rows[at]) for at in range(len(blocks)))  # nosec B301: tasks of this build

    return run


class _OneBlock:
    """Measures one block in a worker."""

    def __init__(self, saves: Any, measure_block: MeasureBlock) -> None:
        self._saves = saves  # ObjectRef[Saves]: workers of one machine share its arrays
        self._measure = measure_block

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        rows = self._measure(ray.get(self._saves), np.asarray(row["pins"]))
        return {"at": row["at"], "rows": pickle.dumps(rows)}
