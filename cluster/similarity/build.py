"""Measures how alike the pins of a graph are, block by block of pins. Who runs the blocks is the caller's choice."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from cluster.graph.csr import Graph
from cluster.settings.similarity import SimilaritySettings
from cluster.similarity.cosine import cosine_rows
from cluster.similarity.follows import follow_rows, followed
from cluster.similarity.linear import exact_weights, near_weights
from cluster.similarity.neighbours import Neighbours
from cluster.similarity.saves import Saves
from cluster.similarity.steps import step_rows
from cluster.similarity.tables import Similarity

BLOCK_PINS = 512
"""Pins whose rows are computed together."""

BETA = 0.3
"""Power of a pin's boards that its two-step chance is divided by."""


class UsersPast(Protocol):
    """What users did, as far as likeness is concerned: CSR over users, newest first (cluster.catalog.history)."""

    @property
    def offsets(self) -> np.ndarray:
        """int64[U+1]."""
        ...

    @property
    def pins(self) -> np.ndarray:
        """int32[H], the graph's pin index."""
        ...


@dataclass(frozen=True)
class BlockRows:
    """The rows of one block of pins. `predictors` (in place of linear rows): of each pin, what others add to it."""

    cosine: Neighbours
    steps: Neighbours
    predictors: sp.csr_array | None


MapBlocks = Callable[["MeasureBlock", Saves, list[np.ndarray]], Iterable[BlockRows]]
"""Runs blocks of pins through the measure, here or elsewhere; gives their rows in the same order."""


@dataclass(frozen=True)
class MeasureBlock:
    """Rows of the measures on boards for int64[p] pins. Pure; any process with the graph gives the same."""

    settings: SimilaritySettings
    exact: bool  # the linear weights come from one inverse of all

    def __call__(self, saves: Saves, pins: np.ndarray) -> BlockRows:
        """All measures of one block."""
        k = self.settings.neighbours
        cosine = cosine_rows(saves, pins, k, self.settings.shrinkage)
        near = Neighbours(cosine.ids[:, : self.settings.regressed], cosine.weights[:, : self.settings.regressed])
        predictors = None if self.exact else near_weights(saves, pins, near, self.settings.l2)
        return BlockRows(cosine, step_rows(saves, pins, k, BETA), predictors)


def measure(
    graph: Graph, past: UsersPast | None, settings: SimilaritySettings, map_blocks: MapBlocks | None = None
) -> Similarity:
    """All measures for a graph and the users' past; without a past `follows` is None, with `neighbours` 0 all are."""
    if not settings.neighbours:
        return Similarity()
    saved = np.flatnonzero(graph.pin_degree)  # a pin without an edge is like no other, and costs nothing here
    saves = Saves.of(graph, settings.board_pins).of_pins(saved)
    on_boards = _on_boards(saves, settings, map_blocks or in_this_process).moved(saved, graph.n_pins)
    return replace(on_boards, follows=None if past is None else _follows(past, graph.n_pins, settings))


def in_this_process(measure_block: MeasureBlock, saves: Saves, blocks: list[np.ndarray]) -> Iterator[BlockRows]:
    """One block after the other."""
    return (measure_block(saves, pins) for pins in blocks)


def _on_boards(saves: Saves, settings: SimilaritySettings, map_blocks: MapBlocks) -> Similarity:
    """The measures that know nothing but boards."""
    n = len(saves.degree)
    measure_block = MeasureBlock(settings, exact=n <= settings.exact_pins)
    blocks = [np.arange(at, min(at + BLOCK_PINS, n)) for at in range(0, n, BLOCK_PINS)]
    rows = list(map_blocks(measure_block, saves, blocks))
    k = min(settings.neighbours, n)
    return Similarity(
        linear=_linear(saves, rows, settings, k),
        cosine=Neighbours.stacked([part.cosine for part in rows], k),
        steps=Neighbours.stacked([part.steps for part in rows], k),
    )


def _linear(saves: Saves, rows: list[BlockRows], settings: SimilaritySettings, k: int) -> Neighbours:
    predictors = [part.predictors for part in rows if part.predictors is not None]
    if not predictors:
        return Neighbours.strongest(exact_weights(saves, settings.l2), k)
    return Neighbours.strongest(sp.vstack(predictors).T.tocsr(), k)


def _follows(past: UsersPast, n_pins: int, settings: SimilaritySettings) -> Neighbours:
    k = min(settings.neighbours, n_pins)
    actions = np.bincount(past.pins, minlength=n_pins).astype(np.float64)
    return follow_rows(followed(past.offsets, past.pins, n_pins, settings.window), actions, k, settings.damping)
