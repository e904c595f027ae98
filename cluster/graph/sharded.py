"""A graph of which boards lie in parts, so that a process may walk one part alone. Knows nothing of walks or Ray.

On disk (a bundle folder), beside the files of `cluster.graph.csr` that hold no edges (indices, ids, locales):

    graph.json            with "shards": S
    part-000/ … part-<S-1>/   graph.json, pin_index, pin_boards, board_index, board_pins and links of each part
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cluster.graph.any_graph import AnyGraph
from cluster.graph.csr import Graph
from cluster.graph.files import (
    check_facts,
    load_array,
    open_bounds,
    open_ids,
    opened_from,
    read_facts,
    save_indices,
    save_nodes,
)
from cluster.graph.ids import IdMap
from cluster.graph.packing import pack_offsets


class ShardedGraph(AnyGraph):
    """Pins, boards and degrees of the whole, and the edges in parts, as `cluster.graph.splitting` dealt them."""

    def __init__(
        self,
        pin_index: np.ndarray,
        board_index: np.ndarray,
        parts: Sequence[Graph],
        pin_ids: IdMap,
        board_ids: IdMap,
        locale_bounds: np.ndarray | None = None,
        locales: Sequence[str] | None = None,
    ) -> None:
        super().__init__(pin_index, board_index, pin_ids, board_ids, locale_bounds, locales)
        self._parts = tuple(parts)
        self.n_edges = sum(part.n_edges for part in parts)

    @classmethod
    def of(
        cls,
        parts: Sequence[Graph],
        pin_ids: IdMap,
        board_ids: IdMap,
        locale_bounds: np.ndarray | None = None,
        locales: Sequence[str] | None = None,
    ) -> ShardedGraph:
        """The whole of parts: degrees are added up."""
        pins = _whole_index([part.pin_degree for part in parts])
        boards = _whole_index([part.board_degree for part in parts])
        return cls(pins, boards, parts, pin_ids, board_ids, locale_bounds, locales)

    @classmethod
    def open(cls, directory: str | Path) -> ShardedGraph:
        """Maps a saved graph and all its parts. Raises BundleError when files are missing or unfit."""
        folder = Path(directory)
        with opened_from(folder):
            meta = read_facts(folder)
            ids = open_ids(folder)
            graph = cls(
                load_array(folder, "pin_index", np.uint64),
                load_array(folder, "board_index", np.uint64),
                [Graph.open(part_folder(folder, at), ids) for at in range(meta["shards"])],
                *ids,
                open_bounds(folder),
                meta["locales"],
            )
            check_facts(graph, meta)
            if graph.n_edges != meta["n_edges"]:
                raise ValueError("the parts and graph.json differ in edges")
        return graph

    @property
    def parts(self) -> tuple[Graph, ...]:
        """In the order of `cluster.graph.splitting.part_of_ids`."""
        return self._parts

    @property
    def nbytes(self) -> int:
        """Bytes of all parts, and of the whole's own indices."""
        return int(self.pin_index.nbytes + self.board_index.nbytes) + sum(part.nbytes for part in self.parts)

    def save(self, directory: str | Path) -> None:
        """Writes the files named in the module's docstring. Not atomic: publish through `cluster.store.bundles`."""
        folder = Path(directory)
        for at, part in enumerate(self.parts):
            part.save_edges(part_folder(folder, at))
        self.save_whole(folder)

    def save_whole(self, folder: Path) -> None:
        """Writes all but the parts."""
        save_indices(folder, self, shards=len(self.parts))
        save_nodes(folder, self)


def part_folder(folder: Path, at: int) -> Path:
    """Where a part lies in a graph's folder."""
    return folder / f"part-{at:03d}"


def open_graph(directory: str | Path) -> Graph | ShardedGraph:
    """Maps a saved graph, in whichever form it is. Raises BundleError when files are missing or unfit."""
    folder = Path(directory)
    with opened_from(folder):
        parts = read_facts(folder).get("shards", 1)
    return Graph.open(folder) if parts == 1 else ShardedGraph.open(folder)


def _whole_index(degrees: Sequence[np.ndarray]) -> np.ndarray:
    total = np.zeros(len(degrees[0]) + 1, np.int64)
    for part in degrees:
        total[1:] += part
    return pack_offsets(np.cumsum(total))
