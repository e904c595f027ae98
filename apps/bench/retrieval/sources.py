"""Sources of candidates together against the walk alone; what mixing them costs.

`union_over_walk`: recall@100 of the union of `walk`, `similar` and `boards` less that of the walk, at 100 candidates
both, of pins that a user was found with later; intervals resample users. Of each data set in the folder that
PINFUNNEL_DATA names: ml-100k (the last fifth of the films that each user liked), toys (the last item of each
sequence), gowalla (the public split). A request has the user's newest 64 known pins as query pins, which is all that
any source reads.
`quota_candidates_share`: candidates scored by learned quotas, of those that the best static quotas score, where both
keep .95 of what full quotas found; learned on 70 % of the requests, replayed on the others.
`quota_recall_gain`: what learned quotas find more than the best static ones, of what these find, at the candidates with
which static ones keep .95 and .8; each user by quotas learned on four fifths without it; intervals resample users.
`quota_decision_us`: CPU of one decision, four sources.
`frame_ms`: reading a request, checking and mixing what four canned sources found (500, 200, 200 and 200 pins), on a
graph of 100,000 pins.

    python -m apps.bench.retrieval.sources [--quick]
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from apps.bench.machine import machine, versions
from apps.bench.retrieval.quota_costs import AskedInFull, decision_us, quota_costs
from apps.reports.sources import ask_each
from cluster.catalog.build import Tables, build_catalog_in_memory
from cluster.kinds import GRAPH
from cluster.settings.clients import Client, SourceSettings
from cluster.settings.project import DataSettings, Project, Source
from cluster.settings.similarity import SimilaritySettings
from serving.deploy.process import Process
from serving.request.ask import WalkAsk
from serving.request.found import FoundPins, Visits
from training.quotas.demand import known_of
from training.report.sources import SourceFindings

SOURCES = ("walk", "similar", "boards")
BUDGET = 500
NOW = 1_800_000_000_000_000
KNOWN = 64
CANNED = (500, 200, 200, 200)


@dataclass(frozen=True)
class Held:
    """Edges that are known, and what some users were found with later."""

    boards: np.ndarray
    pins: np.ndarray
    later: dict[int, np.ndarray]  # user -> pins


def data_sets(folder: Path, users: int, seed: int = 0) -> Iterator[tuple[str, Held]]:
    """Those that are there, with at most so many users to look for."""
    rng = np.random.default_rng(seed)
    for name, read in (("ml-100k", _films), ("toys", _toys), ("gowalla", _gowalla)):
        if not (folder / name).exists():
            print(f"{name}: not in {folder}, left out")
            continue
        held = read(folder / name)
        drawn = rng.permutation(sorted(held.later))[:users].tolist()
        yield name, Held(held.boards, held.pins, {user: held.later[user] for user in drawn})


def _films(folder: Path) -> Held:
    table = pq.read_table(folder / "ratings.parquet")
    user, item = (table[name].to_numpy().astype(np.int64) for name in ("user_id", "item_id"))
    at = np.argsort(table["rated_at"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(), kind="stable")
    liked = at[table["rating"].to_numpy()[at] >= 4]
    liked = liked[np.argsort(user[liked], kind="stable")]
    _, start, size = np.unique(user[liked], return_index=True, return_counts=True)
    late = np.arange(len(liked)) - np.repeat(start, size) >= np.repeat(0.8 * size, size)
    return _held(user[liked[~late]], item[liked[~late]], user[liked[late]], item[liked[late]])


def _toys(folder: Path) -> Held:
    table = pq.read_table(folder / "interactions.parquet")
    user, item = (np.unique(table[name].to_numpy(), return_inverse=True)[1] for name in ("user_id", "item_id"))
    order = np.lexsort((table["step"].to_numpy(), user))
    user, item = user[order], item[order]
    last = np.append(user[1:] != user[:-1], True)
    return _held(user[~last], item[~last], user[last], item[last])


def _gowalla(folder: Path) -> Held:
    train, test = (pq.read_table(folder / f"{part}.parquet") for part in ("train", "test"))
    columns = [table[name].to_numpy().astype(np.int64) for table in (train, test) for name in ("board_id", "pin_id")]
    return _held(*columns)


def _held(boards: np.ndarray, pins: np.ndarray, users: np.ndarray, later: np.ndarray) -> Held:
    known = set(np.unique(boards).tolist())
    order = np.argsort(users, kind="stable")
    ids, starts = np.unique(users[order], return_index=True)
    parts = np.split(later[order], starts[1:])
    return Held(boards, pins, {u: np.unique(p) for u, p in zip(ids.tolist(), parts, strict=True) if u in known})


def process_of(folder: Path, edges: pa.Table, sources: dict[str, int], neighbours: int = 64) -> Process:
    """A served project of these edges, and a client with these sources whose requests bring their query pins."""
    project = Project(
        home=str(folder / "home"),
        data=DataSettings(edges=Source(path="unused")),
        similarity=SimilaritySettings(neighbours=neighbours),
    )
    settings = {name: SourceSettings(quota=quota) for name, quota in sources.items()}
    client = Client(name="bench", query={"source": "request", "max_pins": KNOWN}, sources=settings)  # type: ignore[arg-type]
    process = Process(project, {"bench": client})
    with process.store.write(GRAPH, {"schema_hash": process.features.schema_hash}) as (target, version):
        build_catalog_in_memory(Tables(edges), project, target, version=version)
    process.sources.load(version)
    return process


def judged(held: Held) -> dict[str, Any]:
    """The report of one data set, and what learned quotas score of what static ones do."""
    findings = SourceFindings(SOURCES)
    seen: list[AskedInFull] = []
    with tempfile.TemporaryDirectory() as folder:
        edges = pa.table({"board_id": held.boards, "pin_id": held.pins})
        process = process_of(Path(folder), edges, dict.fromkeys(SOURCES, BUDGET))
        version = process.sources.version
        order = np.argsort(held.boards, kind="stable")
        boards, pins = held.boards[order], held.pins[order]
        ids = process.catalogs.current.graph.pin_ids
        for user, later in held.later.items():
            mine = pins[np.searchsorted(boards, user) : np.searchsorted(boards, user, "right")]
            wanted = np.setdiff1d(later, mine)
            if not len(wanted):
                continue
            known = tuple((int(pin), None) for pin in mine[-KNOWN:][::-1])
            ask = WalkAsk("bench", None, known, tuple(mine.tolist()), None, NOW, seed=user)
            found, milliseconds = ask_each(process.sources, ask, version, SOURCES, BUDGET)
            index = ids.index_of(wanted)
            findings.add(user, np.where(index >= 0, index, -1 - np.arange(len(index))), found, milliseconds)
            seen.append(AskedInFull(*_ranks(found, index), known_of(len(known), len(mine))))
    return {**findings.report(), "quotas": quota_costs(seen, SOURCES, BUDGET)}


def _ranks(found: dict[str, np.ndarray], wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int32[n, S] ranks of all candidates of a request, and which of them were wanted, bool[n]."""
    pins = np.unique(np.concatenate(list(found.values())))
    rank = np.full((len(pins), len(found)), -1, np.int32)
    for column, mine in enumerate(found.values()):
        rank[np.searchsorted(pins, mine), column] = np.arange(len(mine))
    return rank, np.isin(pins, wanted)


def frame_ms(repeats: int) -> dict[str, float]:
    """Medians of reading the request and of all that follows the sources, milliseconds of one core."""
    rng = np.random.default_rng(0)
    pins, boards = 100_000, 20_000
    n = 1_000_000
    edges = pa.table({"board_id": rng.integers(0, boards, n), "pin_id": (pins * rng.random(n) ** 2).astype(np.int64)})
    names = ("walk", "similar", "boards", "content")
    spent: dict[str, list[float]] = {"read": [], "mix": []}
    with tempfile.TemporaryDirectory() as folder:
        stage = process_of(Path(folder), edges, dict(zip(names, CANNED, strict=True)), neighbours=0).sources
        graph = stage.query(WalkAsk("bench", None, (), (), None, NOW, seed=0)).catalog.graph
        for turn in range(repeats + 20):  # the first warm up
            asked = tuple((int(pin), None) for pin in graph.pin_ids.ids_of(rng.integers(0, graph.n_pins, 10)))
            canned = {
                name: _canned(rng, graph.n_pins, size, name == "walk") for name, size in zip(names, CANNED, strict=True)
            }
            began = time.process_time_ns()
            query = stage.query(WalkAsk("bench", None, asked, (), None, NOW, seed=turn))
            budget = stage.budgets(query)
            read = time.process_time_ns()
            found = {name: one.checked(graph.n_pins, CANNED[0]) for name, one in canned.items()}
            stage.mixed(query, found, budget)
            if turn >= 20:
                spent["read"].append((read - began) / 1e6)
                spent["mix"].append((time.process_time_ns() - read) / 1e6)
    medians = {name: median(times) for name, times in spent.items()}
    return {**medians, "frame_ms": sum(medians.values())}


def _canned(rng: np.random.Generator, n_pins: int, size: int, walk: bool) -> FoundPins:
    pins = rng.choice(n_pins, size, replace=False).astype(np.int32)
    visits = Visits(np.ones(size, np.int32), np.ones(size, np.int16), np.ones((size, 10), np.uint32)) if walk else None
    return FoundPins(pins, np.sort(rng.random(size).astype(np.float32))[::-1], visits=visits)


def run(quick: bool = False) -> dict[str, Any]:
    """All figures; data sets of the folder that PINFUNNEL_DATA names, and none without it."""
    folder = os.environ.get("PINFUNNEL_DATA")
    users, repeats = (20, 20) if quick else (1_200, 400)
    out: dict[str, Any] = {"machine": machine(), "versions": versions("numpy", "numba"), **frame_ms(repeats)}
    out["sets"] = {name: judged(held) for name, held in data_sets(Path(folder), users)} if folder else {}
    over = {name: report["union_over"]["walk"]["100"] for name, report in out["sets"].items()}
    walk = {name: report["recall"]["walk"]["100"]["mean"] for name, report in out["sets"].items()}
    out["union_over_walk"] = {
        "recall@100": {
            name: {**one, "ratio": one["mean"] / walk[name] if walk[name] else None} for name, one in over.items()
        }
    }
    out["quota_candidates_share"] = {name: report["quotas"]["share"] for name, report in out["sets"].items()}
    out["quota_recall_gain"] = {
        name: {keep: one["gain"] for keep, one in report["quotas"]["at_equal_cost"].items()}
        for name, report in out["sets"].items()
    }
    out["quota_decision_us"] = decision_us(repeats)
    return out


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
