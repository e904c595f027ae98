"""Other ways to find the nearest vectors, for the bench of retrieval. Peers that do not import are reported by name.

Each peer is a function (query float32[W], k, may bool[N] or None) that gives the rows of the k largest inner products
it found. What a filter needs is made beforehand, as ours gets its filter ready made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Peer = Callable[[np.ndarray, int, np.ndarray | None], np.ndarray]

LINKS = 16
EFFORT_TO_BUILD = 100


def peers(vectors: np.ndarray, filters: list[np.ndarray], effort: int) -> tuple[dict[str, Peer], dict[str, str]]:
    """({engine: peer}, {engine: why it is skipped}). `effort`: ef of the graphs' searches."""
    found: dict[str, Peer] = {"numpy": _numpy(vectors)}
    skipped: dict[str, str] = {}
    makers: dict[str, Callable[[], dict[str, Peer]]] = {
        "faiss": lambda: _faiss(vectors, filters, effort),
        "hnswlib": lambda: _hnswlib(vectors, effort),
    }
    for name, make in makers.items():
        try:
            found |= make()
        except ImportError as error:
            skipped[name] = str(error)
    return found, skipped


def _numpy(vectors: np.ndarray) -> Peer:
    def search(query: np.ndarray, k: int, may: np.ndarray | None) -> np.ndarray:
        scores = vectors @ query
        if may is not None:
            scores[~may] = -np.inf
        return np.argpartition(-scores, k)[:k]

    return search


def _faiss(vectors: np.ndarray, filters: list[np.ndarray], effort: int) -> dict[str, Peer]:
    """Exact floats, exact bytes (one scale a dimension), and a graph; filters as bitmaps inside the search."""
    import faiss

    faiss.omp_set_num_threads(1)
    width = vectors.shape[1]
    inner = faiss.METRIC_INNER_PRODUCT
    flat = faiss.IndexFlatIP(width)
    bytes_ = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, inner)
    bytes_.train(vectors[:100_000])
    graph = faiss.IndexHNSWFlat(width, LINKS, inner)
    graph.hnsw.efConstruction = EFFORT_TO_BUILD
    for index in (flat, bytes_, graph):
        index.add(vectors)
    bitmaps = {id(may): np.packbits(may, bitorder="little") for may in filters}

    def peer(index: Any, of_graph: bool) -> Peer:
        def search(query: np.ndarray, k: int, may: np.ndarray | None) -> np.ndarray:
            chosen = None if may is None else faiss.IDSelectorBitmap(bitmaps[id(may)])
            if of_graph:
                parameters: Any = faiss.SearchParametersHNSW(sel=chosen, efSearch=max(k, effort))
            else:
                parameters = None if chosen is None else faiss.SearchParameters(sel=chosen)
            _, rows = index.search(query[None], k, params=parameters)
            return np.asarray(rows[0])

        return search

    return {"faiss_flat": peer(flat, False), "faiss_sq8": peer(bytes_, False), "faiss_hnsw": peer(graph, True)}


def _hnswlib(vectors: np.ndarray, effort: int) -> dict[str, Peer]:
    import hnswlib

    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=LINKS, ef_construction=EFFORT_TO_BUILD)
    index.add_items(vectors)
    index.set_num_threads(1)

    def search(query: np.ndarray, k: int, may: np.ndarray | None) -> np.ndarray:
        index.set_ef(max(k, effort))
        rows, _ = index.knn_query(query, k, 1, None if may is None else lambda row: bool(may[row]))
        return np.asarray(rows[0])

    return {"hnswlib": search}
