"""Candidates under filters that match 100 to 0.1 % of the pins: ms, and how many of k.

The candidate stage of a request from 10 query pins (`CandidatesLogic.candidates`), in turns: without a filter, and
with one on a number or a text, met for the first time or kept from before. Pins have a random number in 0..1 and a
random brand; a brand of a share of the pins is named after it. `after_the_cut`: of the best 2,000 without a filter
those that match, which is what is left to answer with when a filter comes after the walk.

    python -m apps.bench.walk.filters [--quick]
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from apps.bench.graph.synthetic import Shape, draw_edges, query_pins
from apps.bench.machine import machine, versions
from cluster.attributes.filters import Between, Filter, TextAmong
from cluster.catalog.build import Tables, build_catalog_in_memory
from cluster.catalog.catalog import Catalog
from cluster.kinds import GRAPH
from cluster.settings.clients import Client
from cluster.settings.project import DataSettings, Project, Source
from cluster.settings.similarity import SimilaritySettings
from cluster.store.bundles import BundleStore
from serving.candidates.stage import CandidatesLogic
from serving.deploy.process import Process
from serving.request.ask import WalkAsk

SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)
SHAPE = Shape(pins=1_000_000, boards=250_000, edges=15_000_000, topics=1_000)
QUICK = Shape(pins=20_000, boards=5_000, edges=300_000, topics=50)
K = 25
QUERIES = 10
CLIENT = Client.model_validate({"name": "bench", "walk": {"steps": 200_000}, "query": {"source": "request"}})


def run(quick: bool = False, repeats: int = 15) -> dict[str, Any]:
    """Median CPU milliseconds by kind of filter and share of the pins, and what the candidates were."""
    shape = QUICK if quick else SHAPE
    repeats = 3 if quick else repeats
    with tempfile.TemporaryDirectory(prefix="bench-filters-") as folder:
        process = _built(Path(folder), shape)
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
        try:
            figures = _measured(process, repeats)
        finally:
            os.sched_setaffinity(0, cores)
        catalog = process.catalogs.current
        size = {"pins": catalog.graph.n_pins, "boards": catalog.graph.n_boards, "edges": catalog.graph.n_edges}
    return {**figures, "k": K, "graph": size, "machine": machine(), "versions": versions("numba", "numpy")}


def _built(folder: Path, shape: Shape) -> Process:
    """A project of such a graph, with a number and a brand for each pin, published."""
    boards, pins, _ = draw_edges(shape)
    rng = np.random.default_rng(2)
    there = np.unique(pins)
    price = rng.random(len(there))
    table = pa.table({"pin_id": there, "price": price, "brand": [_brand(p) for p in rng.random(len(there)).tolist()]})
    unused = Source(path=str(folder))
    project = Project(
        home=str(folder / "home"),
        data=DataSettings(edges=unused, pins=unused),
        attributes={"price": "number", "brand": "category"},
        similarity=SimilaritySettings(neighbours=0),
    )
    process = Process(project, {CLIENT.name: CLIENT})
    store: BundleStore = process.store
    with store.write(GRAPH, {"schema_hash": process.features.schema_hash}) as (target, version):
        tables = Tables(pa.table({"board_id": boards, "pin_id": pins}), table)
        build_catalog_in_memory(tables, project, target, version=version)
    process.sources.load(version)
    return process


def _brand(draw: float) -> str:
    """A brand of each share but all of them, and for the rest one of a hundred thousand."""
    for share in SHARES[1:]:
        if draw < share:
            return str(share)
        draw -= share
    return f"brand {draw:.5f}"


def _filters(share: float, turn: int) -> dict[str, Filter]:
    """Filters that match a share of the pins; those of another `turn` are others to the cache."""
    number = Between("price", high=share + turn * 1e-9)
    text = TextAmong("brand", (str(share), f"nobody's {turn}"))
    return {"number": number} if share == 1.0 else {"number": number, "text": text}


def _measured(process: Process, repeats: int) -> dict[str, Any]:
    sources, catalog = process.sources, process.catalogs.current
    spent: dict[str, list[float]] = {}
    counts: dict[str, list[dict[str, int]]] = {}
    for turn in range(repeats + 1):  # the first warms up
        asks = _asks(catalog, turn)
        sources.candidates(asks["none"])  # whichever walks first from these pins would pay for bringing them near
        for name, ask in asks.items():
            for when in ("first", "kept") if ask.filter is not None else ("none",):
                milliseconds = _timed(sources, ask)
                if turn:
                    spent.setdefault(f"{name}.{when}", []).append(milliseconds)
            if turn:
                counts.setdefault(name, []).append(_counted(sources, catalog, ask))
    whole = median(spent["none.none"])
    return {
        "ms": {name.removesuffix(".none"): round(median(times), 2) for name, times in spent.items()},
        "ratio": {name.removesuffix(".none"): round(median(times) / whole, 2) for name, times in spent.items()},
        "found": {name: {key: median(one[key] for one in all_) for key in all_[0]} for name, all_ in counts.items()},
    }


def _asks(catalog: Catalog, turn: int) -> dict[str, WalkAsk]:
    """One request without a filter, and the same with each."""
    ids = catalog.graph.pin_ids.ids_of(query_pins(catalog.graph.parts[0], QUERIES, turn)).tolist()
    plain = WalkAsk(CLIENT.name, None, tuple((pin, None) for pin in ids), (), None, int(time.time() * 1e6), turn)
    plain = replace(plain, limit=K)
    found = {"none": plain}
    for share in SHARES:
        for kind, asked in _filters(share, turn).items():
            found[f"{kind}.{100 * share:g}%"] = replace(plain, filter=asked)
    return found


def _timed(sources: CandidatesLogic, ask: WalkAsk) -> float:
    began = time.process_time()
    sources.candidates(ask)
    return 1e3 * (time.process_time() - began)


def _counted(sources: CandidatesLogic, catalog: Catalog, ask: WalkAsk) -> dict[str, int]:
    """What a request has to answer with: of k, from the walk, in all, and had the filter come after the cut."""
    candidates = sources.candidates(ask)
    mask = np.ones(catalog.graph.n_pins, bool) if ask.filter is None else catalog.attributes.matching(ask.filter)
    assert mask[candidates.pins].all()
    unfiltered = sources.candidates(replace(ask, filter=None))
    return {
        "of_k": min(len(candidates.pins), K),
        "walked": int((candidates.visits > 0).sum()),
        "candidates": len(candidates.pins),
        "after_the_cut": int(mask[unfiltered.pins].sum()),
    }


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv), indent=2))
