"""What the steps of an out-of-core build agree on: ranges of ids, where a step writes, what it noted. Knows no step."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.settings.project import GraphSettings


@dataclass(frozen=True)
class PartitionPlan:
    """What all steps agree on; bounds are the first ids of every range but the lowest."""

    scratch: str
    board_bounds: tuple[Any, ...]
    pin_bounds: tuple[Any, ...]
    names: tuple[str, ...]  # columns of edges that are read
    now: int
    before: int | None
    settings: GraphSettings
    known_pins: bool  # scratch holds the id map `known` of the pins input, and `listed` of each pin range
    n_locales: int  # codes in scratch/locale.npy, 0 without locales

    def path(self, step: str, at: int) -> Path:
        """Where a piece of work writes."""
        return Path(self.scratch) / step / str(at)

    def done(self, step: str, at: int) -> bool:
        """Whether a piece of work is finished."""
        return self.path(step, at).with_suffix(".json").exists()

    def facts(self, step: str, at: int) -> dict[str, Any]:
        """What a finished piece of work noted."""
        return json.loads(self.path(step, at).with_suffix(".json").read_text())

    def note(self, step: str, at: int, **facts: Any) -> dict[str, Any]:
        """Marks a piece of work as finished."""
        target = self.path(step, at).with_suffix(".json")
        draft = target.with_suffix(f".{os.getpid()}.draft")
        draft.write_text(json.dumps(facts))
        os.replace(draft, target)
        return facts


def range_of(ids: pa.Array, bounds: Sequence[Any]) -> np.ndarray:
    """int16[n]: the range that each id falls into."""
    if pa.types.is_integer(ids.type):
        return np.searchsorted(np.asarray(bounds, np.int64), ids.to_numpy(), side="right").astype(np.int16)
    out = np.zeros(len(ids), np.int16)
    for bound in bounds:
        out += np.asarray(pc.greater_equal(ids, bound))
    return out


def write_arrays(folder: Path, **arrays: Any) -> None:
    """Writes each NumPy array as <name>.npy, each Arrow column as <name>.arrow."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        if isinstance(array, pa.Array):
            batch = pa.record_batch([array], names=["id"])
            with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as out:
                out.write_batch(batch)
        else:
            np.save(folder / f"{name}.npy", array)


def read_ids(folder: Path, name: str) -> pa.Array:
    """A mapped column of ids that a step wrote."""
    return pa.ipc.open_file(pa.memory_map(str(folder / f"{name}.arrow"))).get_batch(0).column(0)
