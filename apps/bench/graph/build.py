"""Building a graph with Ray Data beside one process that has it in memory.

Each engine runs in a process of its own, in turns; seconds leave out starting Python, Ray and its workers (reported as
`ray_cold_start_seconds`: a first build of 1,000 edges). Memory is the highest sum of anonymous memory over the engine's
process tree, sampled four times a second; the peer's is all in one process. Both write the same files, and the bench
compares them.

    python -m apps.bench.graph.build [--quick] [--json OUT]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from apps.bench.graph.synthetic import make
from apps.bench.machine import machine, versions
from apps.bench.processes import tree_cpu, tree_memory
from cluster.graph.csr import Graph
from cluster.graph.ids import IdMap
from cluster.graph.packing import pack_offsets

ENGINES = ("ray", "memory")
CPUS = 2
FILES = 8
ROW_GROUP = 1_000_000
SPREAD = 0x9E3779B97F4A7C15
"""An odd multiplier: "sparse" ids are index x SPREAD mod 2^62, so no engine can use them as array indices."""
MEASURED = ("seconds", "cpu_seconds", "peak_mb")
FILE_NAMES = ("pin_index", "pin_boards", "board_index", "board_pins")


def run(quick: bool = False, repeats: int = 1, partitions: int = 8, ids: str = "sparse") -> dict[str, Any]:
    """Medians of `repeats` alternating runs: seconds, edges a second, peak memory, and ours against the peer."""
    with tempfile.TemporaryDirectory(prefix="bench-build-") as scratch:
        folder = Path(scratch)
        rows = write_edges(folder / "edges", "quick" if quick else "big", ids)
        found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
        for turn in range(repeats):
            for engine in ENGINES if turn % 2 == 0 else ENGINES[::-1]:
                found[engine].append(timed(engine, folder, partitions))
        for name in FILE_NAMES:
            same = [np.load(folder / engine / f"{name}.npy", mmap_mode="r") for engine in ENGINES]
            if not np.array_equal(*same):
                raise AssertionError(f"{name} differs between the engines: the comparison would mean nothing")
        edges = int(np.load(folder / "ray" / "board_pins.npy", mmap_mode="r").size)
        last = found["ray"][-1]
    engines = {
        engine: {
            name: round(statistics.median(r[name] for r in runs), 3) for name in ("seconds", "cpu_seconds", "peak_mb")
        }
        for engine, runs in found.items()
    }
    for facts in engines.values():
        facts["edges_per_second"] = round(edges / facts["seconds"])
    ours = engines["ray"]
    peer = engines["memory"]
    return {
        "rows": rows,
        "edges": edges,
        "ids": ids,
        "partitions": partitions,
        "repeats": repeats,
        "engines": engines,
        "ratio": {
            "throughput": round(peer["seconds"] / ours["seconds"], 3),
            "cpu": round(peer["cpu_seconds"] / ours["cpu_seconds"], 3),
            "memory": round(ours["peak_mb"] / peer["peak_mb"], 3),
        },
        "ray_steps_seconds": last["steps"],
        "ray_cold_start_seconds": last["cold_start_seconds"],
        "machine": machine(),
        "versions": versions("ray", "numpy", "pyarrow", "polars"),
    }


def write_edges(folder: Path, shape: str, ids: str) -> int:
    """The edges of a generated graph in random order, over FILES Parquet files."""
    folder.mkdir(parents=True)
    graph = make(shape)
    boards = np.repeat(np.arange(graph.n_boards, dtype=np.int64), graph.board_degree)
    order = np.random.default_rng(0).permutation(graph.n_edges)
    boards = boards[order]
    pins = graph.board_pins[order].astype(np.int64)
    del order
    for at in range(FILES):
        part = slice(at * graph.n_edges // FILES, (at + 1) * graph.n_edges // FILES)
        table = pa.table({"board_id": _spread(boards[part], ids), "pin_id": _spread(pins[part], ids)})
        pq.write_table(table, folder / f"{at}.parquet", row_group_size=ROW_GROUP)
    return int(graph.n_edges)


def _spread(index: np.ndarray, ids: str) -> np.ndarray:
    if ids == "dense":
        return index
    return ((index.astype(np.uint64) * np.uint64(SPREAD)) >> np.uint64(2)).astype(np.int64)


def timed(engine: str, folder: Path, partitions: int) -> dict[str, Any]:
    """One run in a process of its own, with the peak memory of its process tree."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "apps.bench.graph.build",
        "--engine",
        engine,
        "--folder",
        str(folder),
        "-p",
        str(partitions),
    ]
    environment = os.environ | {
        "RAY_AUTH_MODE": "disabled",
        "POLARS_MAX_THREADS": str(CPUS),
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    }
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    peak = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            peak[0] = max(peak[0], tree_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, faults = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"the {engine} engine ended with code {process.returncode}: {faults.strip()[-300:]}")
    return {**json.loads(out.splitlines()[-1]), "peak_mb": peak[0] / 2**20}


def _ray_engine(folder: Path, partitions: int) -> dict[str, Any]:
    from cluster import session
    from cluster.data.inputs import open_input
    from cluster.data.schema import edges_columns
    from cluster.graph.build import build_graph
    from cluster.settings.project import GraphSettings, Source

    session.start(num_cpus=CPUS, dashboard=False)
    marks: list[tuple[str, float]] = []

    def build(source: Path) -> float:
        start = time.perf_counter()
        edges = open_input("edges", Source(path=str(source)), edges_columns("int64"))
        build_graph(
            edges,
            folder / "ray",
            GraphSettings(partitions=partitions),
            scratch=folder / "scratch",
            progress=lambda step, share: marks.append((step, time.perf_counter() - start)),
        )
        return time.perf_counter() - start

    few = folder / "few.parquet"
    pq.write_table(pq.ParquetFile(folder / "edges" / "0.parquet").read_row_group(0).slice(0, 1000), few)
    cold = build(few)  # workers start, import and compile once per session
    marks.clear()
    before = tree_cpu(os.getpid())
    seconds = build(folder / "edges")
    steps: dict[str, float] = {}
    for step in dict(marks):
        times = [at for name, at in marks if name == step]
        steps[step] = round(times[-1] - times[0], 2)
    cpu = tree_cpu(os.getpid()) - before
    session.stop()
    return {"seconds": seconds, "cpu_seconds": cpu, "steps": steps, "cold_start_seconds": round(cold, 2)}


def _memory_engine(folder: Path, partitions: int) -> dict[str, Any]:
    """The obvious fast way: polars reads and ranks, NumPy sorts pairs packed into 64 bits, once for each direction."""
    import polars as pl

    out = folder / "memory"
    out.mkdir(exist_ok=True)
    start = time.perf_counter()
    frame = pl.read_parquet(folder / "edges").drop_nulls()
    keys = {}
    names = {}
    for name in ("board_id", "pin_id"):
        names[name] = frame[name].unique().sort()
        keys[name] = frame[name].rank("dense").cast(pl.Int64).to_numpy() - 1
    del frame
    pair = np.sort(keys["board_id"] << 32 | keys["pin_id"])
    keys.clear()
    pair = pair[np.concatenate([[True], pair[1:] != pair[:-1]])]
    _save_half(out, "board", pair, len(names["board_id"]))
    flipped = np.sort((pair & 0xFFFFFFFF) << 32 | pair >> 32)
    del pair
    _save_half(out, "pin", flipped, len(names["pin_id"]))
    for name, ids in (("boards", names["board_id"]), ("pins", names["pin_id"])):
        IdMap.from_ids(ids.to_numpy()).save(out, name)
    facts = {"format": 1, "n_pins": len(names["pin_id"]), "n_boards": len(names["board_id"]), "n_edges": len(flipped)}
    (out / "graph.json").write_text(json.dumps(facts | {"locales": None}))
    Graph.open(out)
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time()}


def _save_half(folder: Path, side: str, pair: np.ndarray, n: int) -> None:
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pair >> 32, minlength=n))]).astype(np.int64)
    np.save(folder / f"{side}_index.npy", pack_offsets(offsets))
    np.save(folder / f"{side}_{'boards' if side == 'pin' else 'pins'}.npy", (pair & 0xFFFFFFFF).astype(np.int32))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--ids", choices=["sparse", "dense"], default="sparse")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("-p", "--partitions", type=int, default=8)
    parser.add_argument("--json")
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.engine:
        engine = _ray_engine if options.engine == "ray" else _memory_engine
        print(json.dumps(engine(options.folder, options.partitions)))
    else:
        result = json.dumps(run(options.quick, options.repeats, options.partitions, options.ids), indent=2)
        print(result)
        if options.json:
            Path(options.json).write_text(result)
