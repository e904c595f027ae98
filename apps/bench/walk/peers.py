"""Other ways to walk, and the memory limit, for the walk bench. Peers that do not import are reported by name.

Each peer is a function (query pins int32[Q], steps, seed) that answers the same request: the 1000 best of the pins that
restart walks of so many steps visit.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np

from cluster.graph.csr import Graph
from cluster.walk.intrinsics import prefetch
from cluster.walk.reference import plain_pixie

Peer = Callable[[np.ndarray, int, int], Any]
RESTART = 0.5
TOP_K = 1000


class _Stub(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def import_dgl() -> Any:
    """DGL with graphbolt stubbed: that part is compiled for some torch versions only, and sampling does not need it."""
    sys.modules.setdefault("dgl.graphbolt", _Stub("dgl.graphbolt"))
    return importlib.import_module("dgl")


def peers(graph: Graph) -> tuple[dict[str, Peer], dict[str, str]]:
    """({engine: peer}, {engine: why it is skipped})."""
    found: dict[str, Peer] = {"plain_pixie": _plain(graph), "numpy": _numpy(graph)}
    skipped: dict[str, str] = {}
    try:
        found["dgl"] = _dgl(graph)
    except Exception as error:  # whatever stops an import of a foreign binary
        skipped["dgl"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    try:
        found["torch_cluster"] = _torch_cluster(graph)
    except Exception as error:
        skipped["torch_cluster"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return found, skipped


def _plain(graph: Graph) -> Peer:
    return lambda pins, steps, seed: plain_pixie(graph, pins, np.ones(pins.size), steps, RESTART, TOP_K, seed)


def _boosted(per_query: list[np.ndarray]) -> np.ndarray:
    """The 1000 best of the visits of each query pin, by (sum of sqrt V)^2."""
    pairs = [np.unique(visited, return_counts=True) for visited in per_query]
    pins, where = np.unique(np.concatenate([p for p, _ in pairs]), return_inverse=True)
    score = np.bincount(where, np.concatenate([np.sqrt(c) for _, c in pairs])) ** 2
    return pins[np.argsort(-score, kind="stable")[:TOP_K]]


def numpy_levels(graph: Graph, starts: np.ndarray, rng: np.random.Generator) -> list[tuple[np.ndarray, ...]]:
    """Per level the arrays (pin, position of the board, board, position of the next pin) of all living walks."""
    levels: list[tuple[np.ndarray, ...]] = []
    pins = starts.astype(np.int64)
    while pins.size:
        at = graph.pin_offsets[pins] + (rng.random(pins.size) * graph.pin_degree[pins]).astype(np.int64)
        boards = graph.pin_boards[at]
        to = graph.board_offsets[boards] + (rng.random(pins.size) * graph.board_degree[boards]).astype(np.int64)
        levels.append((pins, at, boards, to))
        pins = graph.board_pins[to][rng.random(pins.size) >= RESTART].astype(np.int64)
    return levels


def _numpy(graph: Graph) -> Peer:
    def request(pins: np.ndarray, steps: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        walks = int(steps * RESTART / pins.size)
        visited = []
        for pin in pins:
            levels = numpy_levels(graph, np.full(walks, pin), rng)
            visited.append(np.concatenate([graph.board_pins[to] for _, _, _, to in levels]))
        return _boosted(visited)

    return request


def _edges(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(graph.n_boards, dtype=np.int64), graph.board_degree), graph.board_pins.astype(np.int64)


def _dgl(graph: Graph) -> Peer:
    dgl = import_dgl()
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    boards, pins = (torch.from_numpy(a) for a in _edges(graph))
    counts = {"pin": graph.n_pins, "board": graph.n_boards}
    hetero = dgl.heterograph({("pin", "in", "board"): (pins, boards), ("board", "has", "pin"): (boards, pins)}, counts)
    hetero = hetero.formats(["csr"])

    def request(pins: np.ndarray, steps: int, seed: int) -> Any:
        dgl.seed(seed)
        walks = int(steps * RESTART / pins.size)
        sampler = dgl.sampling.PinSAGESampler(hetero, "pin", "board", 12, RESTART, walks, TOP_K)
        return sampler(torch.from_numpy(pins.astype(np.int64)))

    return request


def _torch_cluster(graph: Graph) -> Peer:
    importlib.import_module("torch_cluster")
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    n = graph.n_pins
    rows = torch.from_numpy(np.concatenate([graph.pin_offsets, graph.board_offsets[1:] + graph.n_edges]))
    columns = torch.from_numpy(
        np.concatenate([graph.pin_boards.astype(np.int64) + n, graph.board_pins.astype(np.int64)])
    )

    def request(pins: np.ndarray, steps: int, seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        walks = int(steps * RESTART / pins.size)
        visited = []
        for pin in pins:
            living = torch.full((walks,), int(pin))
            own = []
            while living.numel():
                path = torch.ops.torch_cluster.random_walk(rows, columns, living, 2, 1.0, 1.0)[0]
                own.append(path[:, 2])
                living = path[:, 2][torch.rand(living.numel()) >= RESTART]
            visited.append(torch.cat(own).numpy())
        return _boosted(visited)

    return request


@nb.njit(cache=True, nogil=True)
def gather(array, index):  # type: ignore[no-untyped-def]
    """Sum of array[index[i]]: independent loads, prefetched 64 ahead; as fast as this memory gives single lines."""
    total = 0
    for i in range(index.size - 64):
        prefetch(array, index[i + 64])
        total += array[index[i]]
    return total


def distinct_lines(graph: Graph, pins: np.ndarray, steps: int, seed: int) -> int:
    """How many 64-byte lines of the graph a request of so many steps reads."""
    walks = np.repeat(pins, int(steps * RESTART / pins.size))
    levels = numpy_levels(graph, walks, np.random.default_rng(seed))
    parts = zip(*levels, strict=True)
    widths = (8, 16, 8, 16)  # entries in a line of pin_index, pin_boards, board_index, board_pins
    return sum(np.unique(np.concatenate(part) // width).size for part, width in zip(parts, widths, strict=True))
