"""How good are walks alone? Recall and NDCG of the pins that each board gains later. Knows nothing of Ray.

Every board with test pins is asked for: its train pins are the query pins, they are excluded from the answer, and the
first k candidates are compared with its test pins. Parameters that are not given are chosen on a split of the train
edges (`choose_params`); the test edges are only ever counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import DataError
from cluster.graph.csr import Graph
from cluster.graph.ids import IdMap
from cluster.graph.splitting import in_parts
from cluster.progress import Progress, silent
from cluster.walk.sharded import walker_of
from cluster.walk.walker import WalkParams
from training.metrics.cases import Answered
from training.metrics.metric import Cuts, figures
from training.metrics.ranking import ndcg
from training.metrics.registry import ANSWERS
from training.retrieval.id_columns import cast_ids, holds_text

DEFAULTS = WalkParams(steps=200_000, restart=1.0, hub_power=0.75, boost=0.9, popularity_discount=0.25)
REPORTED = ("steps", "restart", "hub", "hub_power", "boost", "popularity_discount")
BETAS = (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)
THREADS = 2
TUNING_BOARDS = 1000
TUNING_STEPS = 50_000


def evaluate_retrieval(
    train: pa.Table,
    test: pa.Table,
    board_column: str,
    pin_column: str,
    k: int = 20,
    params: WalkParams | None = None,
    seed: int = 0,
    progress: Progress = silent,
    shards: int = 1,
) -> dict[str, Any]:
    """{"recall@k", "ndcg@k", "boards", "seconds", "params", "shards"}: means over the boards that have test pins.

    Gain is binary; the ideal of NDCG is cut at min(k, test pins of the board). Pins that train does not know stay in
    the denominators. Boards that train does not know are answered with the pins of most boards. `params` None: chosen
    on a split of train. `shards`: parts of the graph that are walked apart (`cluster.walk.sharded`), in the choice as
    well. Raises DataError for missing columns and nulls, ConfigError for no or too many shards.
    """
    began = time.perf_counter()
    train_boards, train_pins = _columns(train, board_column, pin_column, "train")
    test_boards, test_pins = _columns(test, board_column, pin_column, "test")
    train_boards, test_boards = _alike(train_boards, test_boards, board_column)
    train_pins, test_pins = _alike(train_pins, test_pins, pin_column)
    board_ids, pin_ids = IdMap.from_ids(pc.unique(train_boards)), IdMap.from_ids(pc.unique(train_pins))
    boards, pins = board_ids.index_of(train_boards), pin_ids.index_of(train_pins)
    if params is None:
        params = choose_params(boards, pins, len(board_ids), len(pin_ids), k, seed, progress, shards)
    graph = Graph.from_edges(boards, pins, len(board_ids), len(pin_ids), pin_ids, board_ids)
    all_boards, all_pins = IdMap.from_ids(pc.unique(test_boards)), IdMap.from_ids(pc.unique(test_pins))
    asked, wanted = _pairs(all_boards.index_of(test_boards), all_pins.index_of(test_pins))
    truth = Graph.from_edges(asked, wanted, len(all_boards), len(all_pins))
    in_train = pin_ids.index_of(all_pins.ids_of(np.arange(len(all_pins))))
    queries = board_ids.index_of(all_boards.ids_of(np.arange(len(all_boards))))
    expected = [in_train[truth.pins_of(b)] for b in range(truth.n_boards)]
    answers = _answer(
        graph,
        shards,
        queries,
        [replace(params, top_k=k)],
        [params.popularity_discount],
        k,
        seed,
        progress,
        "boards",
    )
    return {
        **score(answers[0], expected, k),
        "boards": truth.n_boards,
        "seconds": time.perf_counter() - began,
        "params": {name: getattr(params, name) for name in REPORTED},
        "shards": shards,
    }


def score(answers: Sequence[np.ndarray], expected: Sequence[np.ndarray], k: int) -> dict[str, float]:
    """{"recall@k", "ndcg@k"}: means over boards; `answers` int[<= k] best first, `expected` int[n] (-1: unknown)."""
    cuts: Cuts = {"survivors": (k,), "head": (k,)}
    rows = [figures(ANSWERS, case, cuts) for case in _cases(answers, expected)]
    names = rows[0] if rows else figures(ANSWERS, Answered(np.zeros(0, bool), 0), cuts)
    return {name: float(np.mean([row[name] for row in rows])) if rows else 0.0 for name in names}


def ndcg_each(answers: Sequence[np.ndarray], expected: Sequence[np.ndarray], k: int) -> np.ndarray:
    """NDCG@k of each board, float64[boards]."""
    return np.array([ndcg(case.hit, k, np.ones(case.wanted)) for case in _cases(answers, expected)])


def _cases(answers: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> Iterator[Answered]:
    for answer, pins in zip(answers, expected, strict=True):
        yield Answered(np.isin(answer, pins[pins >= 0]), pins.size)


def choose_params(
    boards: np.ndarray,
    pins: np.ndarray,
    n_boards: int,
    n_pins: int,
    k: int,
    seed: int,
    progress: Progress = silent,
    shards: int = 1,
) -> WalkParams:
    """The best of a small grid by NDCG@k, on a fifth of the edges held out; edges as int32[E] indices.

    First restart and step allocation, then its exponent, then the booster; the popularity discount is read off the
    same walks. DEFAULTS stay unless the gain over them exceeds two standard errors (the best of many close ones is
    mostly luck), and where fewer than 50 boards can be asked.
    """
    boards, pins = _pairs(boards, pins)
    rng = np.random.default_rng(seed)
    held = rng.random(boards.size) < 0.2
    graph = Graph.from_edges(boards[~held], pins[~held], n_boards, n_pins)
    truth = Graph.from_edges(boards[held], pins[held], n_boards, n_pins)
    able = np.flatnonzero((graph.board_degree > 0) & (truth.board_degree > 0))
    if able.size < 50:
        return DEFAULTS
    sample = np.sort(rng.choice(able, min(TUNING_BOARDS, able.size), replace=False)).astype(np.int32)
    expected = [truth.pins_of(b) for b in sample]
    seen: dict[WalkParams, np.ndarray] = {}

    def trial(grid: list[WalkParams]) -> WalkParams:
        answers = _answer(graph, shards, sample, grid, BETAS, k, seed, progress, "choosing parameters")
        for (params, beta), answer in zip(product(grid, BETAS), answers, strict=True):
            seen[replace(params, popularity_discount=beta)] = ndcg_each(answer, expected, k)
        return max(seen, key=lambda p: float(seen[p].mean()))

    hubs: tuple[Any, ...] = ("log", "uniform")
    best = trial([replace(DEFAULTS, steps=TUNING_STEPS, restart=r, hub=h) for r in (0.5, 0.8, 1.0) for h in hubs])
    best = trial([replace(best, hub_power=power) for power in (0.5, 1.0)])
    best = replace(trial([replace(best, boost=b) for b in (0.5, 0.75)]), steps=DEFAULTS.steps)
    gain = seen[replace(best, steps=TUNING_STEPS)] - seen[replace(DEFAULTS, steps=TUNING_STEPS)]
    certain = float(gain.mean()) > 2.0 * float(gain.std()) / gain.size**0.5
    return best if certain else DEFAULTS


def _answer(
    graph: Graph,
    shards: int,
    boards: np.ndarray,
    grid: list[WalkParams],
    betas: Sequence[float],
    k: int,
    seed: int,
    progress: Progress,
    what: str,
) -> list[list[np.ndarray]]:
    """For each (params, beta), for each board: int32[<= k] pins. With several betas each re-orders the same walk."""
    walker = walker_of(in_parts(graph, shards), answer=None)
    degrees = np.maximum(graph.pin_degree, 1).astype(np.float64)
    popular = np.argsort(-graph.pin_degree, kind="stable")[:k].astype(np.int32)
    total, done = len(boards) * len(grid), 0

    def walk(job: tuple[WalkParams, int]) -> list[np.ndarray]:
        params, board = job
        if board < 0:
            return [popular] * len(betas)
        mine = graph.pins_of(board)
        own = (seed << 32) + int(board)
        if len(betas) == 1:
            return [walker.walk_indices(mine, params=replace(params, popularity_discount=betas[0]), seed=own).pins[:k]]
        found = walker.walk_indices(mine, params=replace(params, popularity_discount=0.0), seed=own)
        weight = degrees[found.pins]
        return [found.pins[np.argsort(-found.scores / weight**beta, kind="stable")[:k]] for beta in betas]

    answers: list[list[np.ndarray]] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for params in grid:
            columns: list[list[np.ndarray]] = [[] for _ in betas]
            for row in pool.map(walk, [(params, int(b)) for b in boards], chunksize=64):
                for column, pins in zip(columns, row, strict=True):
                    column.append(pins)
                done += 1
                if done % 256 == 0 or done == total:
                    progress(what, done / total)
            answers.extend(columns)
    return answers


def _pairs(boards: np.ndarray, pins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each (board, pin) once, so that a repeated edge cannot be in both halves of a split."""
    keys = np.unique(boards.astype(np.int64) << 32 | pins.astype(np.int64))
    return (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)


def _alike(train: pa.ChunkedArray, test: pa.ChunkedArray, name: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Ids of both as int64, or as text when either is text: by the rules for any input, or 1 and "1" never meet."""
    text = any(holds_text(ids.type) for ids in (train, test))
    return cast_ids(train, name, "train edges", text), cast_ids(test, name, "test edges", text)


def _columns(table: pa.Table, board: str, pin: str, what: str) -> tuple[Any, Any]:
    for name in (board, pin):
        if name not in table.column_names:
            raise DataError(f"{what} edges have no column {name!r}: they have {', '.join(table.column_names)}")
        if table[name].null_count:
            raise DataError(f"{what} edges: column {name!r} has {table[name].null_count} nulls; remove those rows")
    return table[board], table[pin]
