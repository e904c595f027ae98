"""What the files of every graph have alike, in one piece, in parts or a part itself: indices, ids, locales, facts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cluster.errors import BundleError
from cluster.graph.any_graph import AnyGraph
from cluster.graph.ids import IdMap
from cluster.graph.packing import DEGREE_BITS

FORMAT = 1
FACTS = "graph.json"


@contextmanager
def opened_from(folder: Path) -> Iterator[None]:
    """Whatever is missing or unfit in the folder becomes a BundleError that says what to do."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"cannot open the graph in {folder}: {error}; build it again") from None


def read_facts(folder: Path) -> dict[str, Any]:
    """What graph.json says. Raises ValueError for another format."""
    meta: dict[str, Any] = json.loads((folder / FACTS).read_text())
    if meta.get("format") != FORMAT:
        raise ValueError(f"format {meta.get('format')} is not {FORMAT}")
    return meta


def write_facts(folder: Path, n_pins: int, n_boards: int, n_edges: int, locales: Any, **more: Any) -> None:
    """Writes graph.json."""
    facts = {"format": FORMAT, "n_pins": n_pins, "n_boards": n_boards, "n_edges": n_edges, "locales": locales}
    (folder / FACTS).write_text(json.dumps(facts | more))


def load_array(folder: Path, name: str, dtype: type) -> np.ndarray:
    """Maps one file. Raises ValueError for one of another shape or type."""
    array: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r")
    if array.ndim != 1 or array.dtype != dtype:
        raise ValueError(f"{name}.npy is not a flat {np.dtype(dtype)} array")
    return array


def open_ids(folder: Path) -> tuple[IdMap, IdMap]:
    """The maps of pins and of boards."""
    return IdMap.open(folder, "pins"), IdMap.open(folder, "boards")


def open_bounds(folder: Path) -> np.ndarray | None:
    """The locales' ranges of pins, where the graph has any."""
    return load_array(folder, "locale_bounds", np.int64) if (folder / "locale_bounds.npy").exists() else None


def check_facts(graph: AnyGraph, meta: dict[str, Any]) -> None:
    """Raises ValueError where indices or ids are not of the sizes that graph.json says."""
    for index, n in ((graph.pin_index, meta["n_pins"]), (graph.board_index, meta["n_boards"])):
        if index.size != n + 1 or int(index[-1]) >> DEGREE_BITS != meta["n_edges"]:
            raise ValueError("offsets and graph.json disagree")
    if (len(graph.pin_ids), len(graph.board_ids)) != (graph.n_pins, graph.n_boards):
        raise ValueError("the id maps and graph.json disagree")


def save_indices(folder: Path, graph: AnyGraph, **more: Any) -> None:
    """Writes both indices, and graph.json with `more` facts."""
    np.save(folder / "pin_index.npy", graph.pin_index)
    np.save(folder / "board_index.npy", graph.board_index)
    write_facts(folder, graph.n_pins, graph.n_boards, graph.n_edges, graph.locales, **more)


def save_nodes(folder: Path, graph: AnyGraph) -> None:
    """Writes the id maps and the locales' ranges."""
    if graph.locale_bounds is not None:
        np.save(folder / "locale_bounds.npy", graph.locale_bounds)
    graph.pin_ids.save(folder, "pins")
    graph.board_ids.save(folder, "boards")
