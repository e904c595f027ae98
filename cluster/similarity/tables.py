"""All measures of likeness between the pins of one graph, as one folder of a graph bundle.

On disk (similar/): linear, cosine, steps and follows, each as `cluster.similarity.neighbours`; one that could not be
measured is not there.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from cluster.errors import BundleError
from cluster.similarity.neighbours import Neighbours


@dataclass(frozen=True)
class Similarity:
    """Rows of similar pins by measure; None for what was not measured. Memory-mapped and read-only."""

    linear: Neighbours | None = None  # weights of the best linear predictor (cluster.similarity.linear)
    cosine: Neighbours | None = None  # boards in common (cluster.similarity.cosine)
    steps: Neighbours | None = None  # chance of a walk of two steps (cluster.similarity.steps)
    follows: Neighbours | None = None  # what users do next (cluster.similarity.follows)

    def save(self, folder: Path) -> None:
        """Writes what `open` maps."""
        folder.mkdir(parents=True, exist_ok=True)
        for one in fields(self):
            table: Neighbours | None = getattr(self, one.name)
            if table is not None:
                table.save(folder, one.name)

    @classmethod
    def open(cls, folder: Path, n_pins: int) -> "Similarity":
        """Maps the files of `save`; a bundle without them has none. Raises BundleError when they do not fit."""
        found = cls(**{one.name: Neighbours.open(folder, one.name) for one in fields(cls)})
        for one in fields(cls):
            table = getattr(found, one.name)
            if table is not None and len(table) != n_pins:
                raise BundleError(f"{folder}: {len(table)} rows of similar pins for {n_pins}; build the graph again")
        return found

    def check(self) -> None:
        """Raises BundleError where a row names a pin that there is not."""
        for one in fields(self):
            table: Neighbours | None = getattr(self, one.name)
            if table is not None:
                table.check(f"similar pins by {one.name}")

    def moved(self, to: np.ndarray, n_pins: int) -> "Similarity":
        """The same for a graph in which pin i has become `to[i]`; its other pins have no neighbours."""
        tables = {one.name: getattr(self, one.name) for one in fields(self)}
        return Similarity(**{name: None if t is None else t.moved(to, n_pins) for name, t in tables.items()})
