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

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cluster.errors import BundleError, DataError
from cluster.graph.csr_sort import drop_repeats, group, transpose
from cluster.graph.ids import IdMap
from cluster.graph.numbering import by_locale, id_map
from cluster.graph.packing import (
    DEGREE_BITS,
    Halves,
    Links,
    Wanted,
    frozen,
    link,
    linkable,
    open_links,
    pack_offsets,
    save_links,
    unpack_degrees,
    unpack_offsets,
)

FORMAT = 1


class Graph:
    """A bipartite graph. Immutable: its arrays are read-only, so threads and processes can walk it at once."""

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
        self.pin_index = frozen(pin_index)
        self.pin_boards = frozen(pin_boards)
        self.board_index = frozen(board_index)
        self.board_pins = frozen(board_pins)
        self.pin_ids = pin_ids
        self.board_ids = board_ids
        self.locale_bounds = None if locale_bounds is None else frozen(locale_bounds)
        self.locales = None if locales is None else list(locales)
        self.links = links
        self.n_pins = self.pin_index.size - 1
        self.n_boards = self.board_index.size - 1
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
    def open(cls, directory: str | Path) -> Graph:
        """Maps a saved graph; reads headers and a few links. Raises BundleError when files are missing or unfit."""
        folder = Path(directory)

        def load(name: str, dtype: type) -> np.ndarray:
            array = np.load(folder / f"{name}.npy", mmap_mode="r")
            if array.ndim != 1 or array.dtype != dtype:
                raise ValueError(f"{name}.npy is not a flat {np.dtype(dtype)} array")
            return array

        try:
            meta = json.loads((folder / "graph.json").read_text())
            if meta.get("format") != FORMAT:
                raise ValueError(f"format {meta.get('format')} is not {FORMAT}")
            bounds = load("locale_bounds", np.int64) if (folder / "locale_bounds.npy").exists() else None
            graph = cls(
                load("pin_index", np.uint64),
                load("pin_boards", np.int32),
                load("board_index", np.uint64),
                load("board_pins", np.int32),
                IdMap.open(folder, "pins"),
                IdMap.open(folder, "boards"),
                bounds,
                meta["locales"],
            )
            for index, n in ((graph.pin_index, meta["n_pins"]), (graph.board_index, meta["n_boards"])):
                if index.size != n + 1 or int(index[-1]) >> DEGREE_BITS != meta["n_edges"]:
                    raise ValueError("offsets and graph.json disagree")
            if not graph.pin_boards.size == graph.board_pins.size == meta["n_edges"]:
                raise ValueError("the two halves differ in edges")
            if (len(graph.pin_ids), len(graph.board_ids)) != (graph.n_pins, graph.n_boards):
                raise ValueError("the id maps and graph.json disagree")
            graph.links = open_links(folder, graph.halves)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"cannot open the graph in {folder}: {error}; build it again") from None
        return graph

    def save(self, directory: str | Path) -> None:
        """Writes the files named in the module's docstring. Not atomic: publish through `cluster.store.bundles`."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("pin_index", "pin_boards", "board_index", "board_pins", "locale_bounds"):
            array = getattr(self, name)
            if array is not None:
                np.save(folder / f"{name}.npy", array)
        save_links(folder, self.links)
        self.pin_ids.save(folder, "pins")
        self.board_ids.save(folder, "boards")
        meta = {
            "format": FORMAT,
            "n_pins": self.n_pins,
            "n_boards": self.n_boards,
            "n_edges": self.n_edges,
            "locales": self.locales,
        }
        (folder / "graph.json").write_text(json.dumps(meta))

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

    @cached_property
    def pin_degree(self) -> np.ndarray:
        """int32[n_pins]: boards of each pin."""
        return unpack_degrees(self.pin_index)

    @cached_property
    def board_degree(self) -> np.ndarray:
        """int32[n_boards]: pins of each board."""
        return unpack_degrees(self.board_index)

    @cached_property
    def max_pin_degree(self) -> int:
        """Boards of the pin that is on most; 0 without pins."""
        return int(self.pin_degree.max(initial=0))

    @property
    def halves(self) -> Halves:
        """pin_index, pin_boards, board_index, board_pins."""
        return self.pin_index, self.pin_boards, self.board_index, self.board_pins

    @property
    def nbytes(self) -> int:
        """Bytes of both directions that walks read, id maps left out."""
        edges = self.pin_boards.nbytes + self.board_pins.nbytes if self.links is None else self.links.nbytes
        return int(self.pin_index.nbytes + self.board_index.nbytes + edges)

    def pins_of(self, board: int) -> np.ndarray:
        """int32[d]: the pins of a board, ascending."""
        start = int(self.board_index[board]) >> DEGREE_BITS
        return self.board_pins[start : start + int(self.board_degree[board])]

    def locale_range(self, locale: int | str) -> tuple[int, int]:
        """The pin indices [start, end) of a locale, by code or by name; (0, 0) where the graph does not know it."""
        if self.locale_bounds is None:
            return 0, 0
        if isinstance(locale, str):
            if self.locales is None or locale not in self.locales:
                return 0, 0
            locale = self.locales.index(locale)
        if not 0 <= locale < self.locale_bounds.size - 1:
            return 0, 0
        return int(self.locale_bounds[locale]), int(self.locale_bounds[locale + 1])
