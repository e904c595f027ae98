"""The pin–board graph as two memory-mapped CSR halves. Knows nothing of Ray, walks or where edges come from.

On disk (a bundle folder):

    graph.json            {"format": 1, "n_pins", "n_boards", "n_edges", "locales": [names] | null}
    pin_index.npy         uint64[n_pins + 1]     offset << 24 | degree of each pin (`pack_offsets`)
    pin_boards.npy        int32[n_edges]         boards of each pin, ascending
    board_index.npy       uint64[n_boards + 1]   the same for boards
    board_pins.npy        int32[n_edges]         pins of each board, ascending
    pin_links.npy         uint64[n_edges]        `pin_boards` with links in place of ids (`packing`; optional)
    board_links.npy       uint64[n_edges]        the same for `board_pins`
    locale_bounds.npy     int64[n_locales + 1]   pins of locale c are the indices bounds[c] .. bounds[c+1]-1 (optional)
    pins.*.npy, boards.*.npy                     the id maps (`cluster.graph.ids`)

What a word holds, and why, is told in `cluster.graph.packing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cluster.errors import DataError
from cluster.graph.any_graph import AnyGraph
from cluster.graph.csr_sort import drop_repeats, group, transpose
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
from cluster.graph.numbering import by_locale, id_map
from cluster.graph.packing import (
    DEGREE_BITS,
    DEGREE_MAX,
    Halves,
    Links,
    Wanted,
    frozen,
    link,
    linkable,
    open_links,
    pack_offsets,
    save_links,
    unpack_offsets,
)


class Graph(AnyGraph):
    """A graph in one piece, or one of the parts of a `cluster.graph.sharded.ShardedGraph`."""

    def __init__(
        self,
        pin_index: np.ndarray,
        pin_boards: np.ndarray,
        board_index: np.ndarray,
        board_pins: np.ndarray,
        pin_ids: IdMap,
        board_ids: IdMap,
        locale_bounds: np.ndarray | None = None,
        locales: Sequence[str] | None = None,
        links: Links | None = None,
    ) -> None:
        super().__init__(pin_index, board_index, pin_ids, board_ids, locale_bounds, locales)
        self.pin_boards = frozen(pin_boards)
        self.board_pins = frozen(board_pins)
        self.links = links
        self.n_edges = int(self.pin_boards.size)

    @classmethod
    def from_edges(
        cls,
        board_index: Any,
        pin_index: Any,
        n_boards: int,
        n_pins: int,
        pin_ids: Any = None,
        board_ids: Any = None,
        pin_locale: Any = None,
        locales: Sequence[str] | None = None,
    ) -> Graph:
        """Builds in memory from int[E] indices; repeated edges count once.

        `pin_ids`, `board_ids`: IdMap or n ids (default: the index itself). `pin_locale`: int[n_pins] codes 0..L-1
        (`locales` names them); pins are then renumbered by (locale, index), so given indices no longer hold: go by id.
        Raises DataError for indices out of range.
        """
        boards = np.ascontiguousarray(board_index, np.int32)
        pins = np.ascontiguousarray(pin_index, np.int32)
        if boards.size != pins.size:
            raise DataError(f"edges need as many boards as pins, got {boards.size} and {pins.size}")
        for what, index, n in (("board", boards, n_boards), ("pin", pins, n_pins)):
            if index.size and (int(index.min()) < 0 or int(index.max()) >= n):
                raise DataError(f"a {what} index lies outside 0..{n - 1}")
        bounds = None
        pin_map = id_map(pin_ids, n_pins)
        board_map = id_map(board_ids, n_boards)
        if pin_locale is not None:
            n_locales = None if locales is None else len(locales)
            order, rank, bounds = by_locale(pin_locale, n_pins, n_locales)
            pins = rank[pins]
            pin_map = IdMap.from_ids(pin_map.ids_of(order))
        if len(pin_map) != n_pins or len(board_map) != n_boards:
            raise DataError(
                f"the id maps hold {len(pin_map)} pins and {len(board_map)} boards, not {n_pins} and {n_boards}"
            )
        by_pin_offsets, by_pin = group(pins, boards, n_pins)
        board_offsets, board_pins = transpose(by_pin_offsets, by_pin, n_boards)
        del by_pin_offsets, by_pin
        board_pins = board_pins[: drop_repeats(board_offsets, board_pins)]
        pin_offsets, pin_boards = transpose(board_offsets, board_pins, n_pins)
        return cls(
            pack_offsets(pin_offsets),
            pin_boards,
            pack_offsets(board_offsets),
            board_pins,
            pin_map,
            board_map,
            bounds,
            locales,
        )

    @classmethod
    def open(cls, directory: str | Path, ids: tuple[IdMap, IdMap] | None = None) -> Graph:
        """Maps a saved graph; reads headers and a few links. Raises BundleError when files are missing or unfit.

        `ids`: the maps of pins and of boards, for a part, which has none of its own.
        """
        folder = Path(directory)
        with opened_from(folder):
            meta = read_facts(folder)
            graph = cls(
                load_array(folder, "pin_index", np.uint64),
                load_array(folder, "pin_boards", np.int32),
                load_array(folder, "board_index", np.uint64),
                load_array(folder, "board_pins", np.int32),
                *(ids or open_ids(folder)),
                open_bounds(folder),
                meta["locales"],
            )
            check_facts(graph, meta)
            if not graph.pin_boards.size == graph.board_pins.size == meta["n_edges"]:
                raise ValueError("the two halves differ in edges")
            graph.links = open_links(folder, graph.halves)
        return graph

    def save(self, directory: str | Path) -> None:
        """Writes the files named in the module's docstring. Not atomic: publish through `cluster.store.bundles`."""
        folder = Path(directory)
        self.save_edges(folder)
        save_nodes(folder, self)

    def save_edges(self, folder: Path) -> None:
        """Writes what a part has of its own: all but the id maps and the locales."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("pin_boards", "board_pins"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        save_indices(folder, self)
        save_links(folder, self.links)

    def linked(self, wanted: Wanted = "yes") -> Graph:
        """This graph with links, in memory; without when they are not wanted or it is too large for them."""
        links = link(self.halves) if linkable(self.halves, wanted) else None
        return Graph(*self.halves, self.pin_ids, self.board_ids, self.locale_bounds, self.locales, links)

    @cached_property
    def pin_offsets(self) -> np.ndarray:
        """int64[n_pins + 1]: where each pin's boards begin."""
        return unpack_offsets(self.pin_index)

    @cached_property
    def board_offsets(self) -> np.ndarray:
        """int64[n_boards + 1]: where each board's pins begin."""
        return unpack_offsets(self.board_index)

    @property
    def parts(self) -> tuple[Graph]:
        """Itself."""
        return (self,)

    @property
    def halves(self) -> Halves:
        """pin_index, pin_boards, board_index, board_pins."""
        return self.pin_index, self.pin_boards, self.board_index, self.board_pins

    @property
    def nbytes(self) -> int:
        """Bytes of both directions that walks read, id maps left out."""
        edges = self.pin_boards.nbytes + self.board_pins.nbytes if self.links is None else self.links.nbytes
        return int(self.pin_index.nbytes + self.board_index.nbytes + edges)

    def row_of(self, board: int) -> np.ndarray:
        """int32[d]: the pins of a board, of those that it has here."""
        word = int(self.board_index[board])
        start = word >> DEGREE_BITS
        degree = word & DEGREE_MAX
        end = start + degree if degree < DEGREE_MAX else int(self.board_index[board + 1]) >> DEGREE_BITS
        return self.board_pins[start:end]
