"""Which actions the training rows can teach: one that all or none of the examples have teaches nothing. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow.parquet as pq

from cluster.errors import ModelError
from training.ranker.rows import ListRows


@dataclass(frozen=True)
class ActionCounts:
    """How many examples (candidates) there are, how many of them have any action, and how many each one."""

    examples: int
    acted: int
    by_action: dict[str, int]

    @classmethod
    def of(cls, paths: Sequence[str], actions: Sequence[str]) -> Self:
        """Of rows (training.full.rows) in Parquet files, read a row group at a time."""
        examples = 0
        acted = 0
        each = np.zeros(len(actions), np.int64)
        for path in paths:
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                flat, _ = ListRows(file.read_row_group(group, ["labels"])).flat("labels", np.float32)
                done = flat.reshape(-1, len(actions)) > 0
                examples += len(done)
                acted += int(done.any(axis=1).sum())
                each += done.sum(axis=0)
        return cls(examples, acted, dict(zip(actions, each.tolist(), strict=True)))

    def require_learnable(self) -> None:
        """Raises ModelError when all examples are of one class: what then comes out is one score for everything."""
        if not self.acted:
            raise ModelError(
                f"full ranker: no actions in {self.examples:,} examples: check the event log and attribution_hours"
            )
        if self.acted == self.examples:
            raise ModelError(
                f"full ranker: all {self.examples:,} examples have an action, so nothing is to be told apart: log "
                "candidates without one (backfill --unseen), or set ranker.unimpressed to sample what was not shown"
            )

    @property
    def one_class(self) -> tuple[str, ...]:
        """Actions that all or none of the examples have."""
        return tuple(name for name, n in self.by_action.items() if n in (0, self.examples))

    def task_weights(self) -> tuple[float, ...]:
        """Of the loss, by action: 0 for one of a single class, which then predicts its base rate; else 1."""
        return tuple(0.0 if name in self.one_class else 1.0 for name in self.by_action)

    def notes(self) -> tuple[str, ...]:
        """A line that names the actions of a single class, if there are any."""
        if not self.one_class:
            return ()
        named = ", ".join(f"{name} ({self.by_action[name]:,})" for name in self.one_class)
        return (
            f"not learnt, predicted at its base rate, as all or none of {self.examples:,} examples have it: {named}",
        )
