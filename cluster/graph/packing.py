"""The 64-bit words that walks read: where a node's edges lie, in the index of the nodes or in the edges themselves.

Index: offset << 24 | degree of each node, so that a walk reads one cache line a node. A degree of 2^24-1 or more is
stored as 2^24-1, and readers then take the difference to the next offset. Offsets reach 2^40 edges.

Links: edges that hold the word of their other end instead of its id, so that a step reads two random lines, not four.
A pin's edge is the index word of the board. A board's edge is pin << id_shift | offset << degree_bits | degree, as the
pin must be counted too; a degree that does not fit is stored as all ones, and readers look into the index.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

DEGREE_BITS = 24
DEGREE_MAX = (1 << DEGREE_BITS) - 1
LEAST_DEGREE_BITS = 4
"""With fewer bits most pins' degrees would have to be looked up after all."""
FILES = ("pin_links.npy", "board_links.npy")
FEW_NODES = 200_000
"""With fewer pins and boards the index lies in a core's own caches, and longer edges cost more than it does."""
MANY_EDGES = 100_000_000
"""With more, three times the bundle and twice the memory are a price to be asked for."""
CHUNK = 1 << 22  # edges linked at a time: bounds the memory
_BITS = np.uint64(DEGREE_BITS)
_MAX = np.uint64(DEGREE_MAX)


def pack_offsets(offsets: np.ndarray) -> np.ndarray:
    """int64[n+1] CSR offsets to uint64[n+1] of `offset << 24 | min(degree, 2^24-1)`; the last entry has degree 0."""
    packed = offsets.astype(np.uint64) << _BITS
    packed[:-1] |= np.minimum(np.diff(offsets), DEGREE_MAX).astype(np.uint64)
    return packed


def unpack_offsets(packed: np.ndarray) -> np.ndarray:
    """The int64[n+1] offsets of `pack_offsets`."""
    return (packed >> _BITS).astype(np.int64)


def unpack_degrees(packed: np.ndarray) -> np.ndarray:
    """int32[n]: the degrees in the words of `pack_offsets`, wherever each row lies; 2^31-1 stands for all larger."""
    degrees = (packed[:-1] & _MAX).astype(np.int32)
    large = np.flatnonzero(degrees == DEGREE_MAX)
    if len(large):
        offsets = (packed[large + 1] >> _BITS) - (packed[large] >> _BITS)
        degrees[large] = np.minimum(offsets, np.uint64(np.iinfo(np.int32).max)).astype(np.int32)
    return degrees


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only plain view: the kernels then compile once, for mapped and for in-memory graphs alike."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


class Links(NamedTuple):
    """Both halves of a graph with links in their edges, in the order of its own."""

    pin_boards: np.ndarray  # uint64[n_edges]
    board_pins: np.ndarray  # uint64[n_edges]
    id_shift: int
    degree_bits: int

    @property
    def nbytes(self) -> int:
        """Bytes of both halves; the indices come on top."""
        return int(self.pin_boards.nbytes + self.board_pins.nbytes)


Halves = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""pin_index, pin_boards, board_index, board_pins of a graph."""
Wanted = Literal["auto", "yes", "no"]


def bits(n_pins: int, n_edges: int) -> tuple[int, int]:
    """(id_shift, degree_bits) of links; degree_bits is below `LEAST_DEGREE_BITS` for a graph too large for them."""
    id_shift = 64 - n_pins.bit_length()  # n_pins itself, the end of a range, fits too
    return id_shift, min(id_shift - n_edges.bit_length(), DEGREE_BITS)  # no more: the index's own mark must pass


def linkable(halves: Halves, wanted: Wanted = "yes") -> bool:
    """Whether links are wanted and the words can hold this graph: pins x edges below 2^59, no board of 2^24-1 pins."""
    pin_index, pin_boards, board_index, _ = halves
    cheap = pin_index.size + board_index.size >= FEW_NODES and pin_boards.size <= MANY_EDGES
    if wanted == "no" or (wanted == "auto" and not cheap):
        return False
    boards = board_index[:-1] & _MAX
    fits = bits(pin_index.size - 1, pin_boards.size)[1] >= LEAST_DEGREE_BITS
    return bool(pin_boards.size and fits and boards.max(initial=np.uint64(0)) < _MAX)


def link(halves: Halves, degree_bits: int | None = None) -> Links:
    """The links of a `linkable` graph, in memory; `degree_bits`: fewer than there is room for, for tests."""
    n_edges = halves[1].size
    return _linked(halves, lambda _: np.empty(n_edges, np.uint64), degree_bits)


def write_links(folder: Path, halves: Halves, wanted: Wanted = "yes") -> bool:
    """Writes `FILES`, a chunk of edges at a time, and says whether; not for a graph that is not `linkable`."""
    if not linkable(halves, wanted):
        return False
    shape = (halves[1].size,)
    _linked(halves, lambda name: np.lib.format.open_memmap(folder / name, "w+", np.uint64, shape), None)
    return True


def save_links(folder: Path, links: Links | None) -> None:
    """Writes the files of `write_links`; without links, removes those of a graph that lay there before."""
    for at, name in enumerate(FILES):
        if links is None:
            (folder / name).unlink(missing_ok=True)
        else:
            np.save(folder / name, links[at])


def open_links(folder: Path, halves: Halves) -> Links | None:
    """Maps the files of `write_links`; None where there are none. Raises ValueError for those of another graph."""
    if not (folder / FILES[0]).exists():
        return None
    n_edges = halves[1].size
    boards, pins = (np.load(folder / name, mmap_mode="r") for name in FILES)
    if any(array.shape != (n_edges,) or array.dtype != np.uint64 for array in (boards, pins)):
        raise ValueError("links and edges differ in number")
    id_shift, degree_bits = bits(halves[0].size - 1, n_edges)
    looked_at = np.linspace(0, n_edges - 1, min(n_edges, 64)).astype(np.int64)
    wanted = _words(halves, looked_at, id_shift, degree_bits)
    if not all(np.array_equal(array[looked_at], words) for array, words in zip((boards, pins), wanted, strict=True)):
        raise ValueError("the links are of another graph")
    return Links(frozen(boards), frozen(pins), id_shift, degree_bits)


def _words(halves: Halves, edges: slice | np.ndarray, id_shift: int, degree_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The links of some edges: uint64 to boards, uint64 to pins."""
    pin_index, pin_boards, board_index, board_pins = halves
    pins = board_pins[edges]
    entry = pin_index[pins]
    word = pins.astype(np.uint64) << np.uint64(id_shift)
    word |= (entry >> _BITS) << np.uint64(degree_bits)
    word |= np.minimum(entry & _MAX, np.uint64((1 << degree_bits) - 1))
    return board_index[pin_boards[edges]], word


def _linked(halves: Halves, make: Callable[[str], np.ndarray], degree_bits: int | None) -> Links:
    n_edges = halves[1].size
    id_shift, room = bits(halves[0].size - 1, n_edges)
    width = room if degree_bits is None else degree_bits
    boards, pins = (make(name) for name in FILES)
    for start in range(0, n_edges, CHUNK):
        part = slice(start, start + CHUNK)
        boards[part], pins[part] = _words(halves, part, id_shift, width)
    return Links(frozen(boards), frozen(pins), id_shift, width)
