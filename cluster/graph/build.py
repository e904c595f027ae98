"""Builds the graph folder out of core with Ray Data; the work itself is in `cluster.graph.shards`.

Why not `groupby(range).map_groups`: it hashes and sorts every row as a table and moves it through the object store.
Here a task cuts its rows with one radix pass, writes them once, and the next step maps just the slice that it needs.

Workers and driver must see the same `scratch` folder: one machine, or a shared file system.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from cluster.data.cleaning import Tally, now_us
from cluster.data.files import filesystem
from cluster.data.reading import BadInput, Input, Piece
from cluster.errors import DataError
from cluster.graph import shards
from cluster.graph.assemble import assemble
from cluster.graph.csr import Graph
from cluster.graph.ids import IdMap
from cluster.graph.partition import PartitionPlan, range_of, write_arrays
from cluster.graph.span import Span
from cluster.graph.tasks import run_step
from cluster.progress import Progress, silent
from cluster.settings.project import GraphSettings

SCRATCH_FORMAT = 3
"""Raised when the files of a step change: a build that an older version left unfinished is then begun anew."""
GROUP_ROWS = 4_000_000
SAMPLE_PIECES = 24
SAMPLE_IDS = 20_000
STALE_SECONDS = 86_400.0


class KnownPins(Protocol):
    """What the build needs of the pins input (`cluster.catalog.nodes.Nodes`)."""

    @property
    def pin_map(self) -> IdMap | None:
        """The ids that edges may name; None when any id may stand in an edge."""
        ...

    def listed(self, before: int | None) -> pa.Array | None:
        """The pins, ascending by id, that have an index even without an edge; None without a pins input."""
        ...

    def locale_codes(self, pin_ids: IdMap) -> tuple[np.ndarray | None, list[str] | None]:
        """Per pin its code into the locales, and their names; None twice when pins have no locale."""
        ...


@dataclass(frozen=True)
class Built:
    """The graph as saved, and per pin (int32[n_pins]) its edges with a time and those in the newest tenth of `span`."""

    graph: Graph
    dated: np.ndarray
    recent: np.ndarray
    span: Span
    tally: Tally


def build_graph(
    edges: Input,
    folder: Path,
    settings: GraphSettings,
    *,
    scratch: Path,
    nodes: KnownPins | None = None,
    now: int | None = None,
    before: int | None = None,
    progress: Progress = silent,
) -> Built:
    """Writes the files of `cluster.graph.csr` into `folder`; Ray must be up.

    A worker holds one of `settings.partitions` parts of the edges at a time. With the same input and settings, a second
    call after a crash goes on from the pieces that were finished. Raises DataError (file, column, row, fix).
    """
    if not edges.pieces:
        raise BadInput("edges", edges.source.path, "the files hold no rows", "write rows")
    groups = _groups(edges.pieces)
    plan, locales = _plan(edges, groups, settings, scratch, nodes, now or now_us(), before)
    parts = len(plan.board_bounds) + 1
    pin_parts = len(plan.pin_bounds) + 1
    tally = Tally()
    span = Span()
    tasks = [partial(shards.scatter, plan, at, edges, pieces) for at, pieces in enumerate(groups)]
    for facts in run_step(plan, "scatter", tasks, progress):
        tally.add(Tally.of(facts["tally"]))
        span = span.union(Span.from_dict(facts["span"]))
    tasks = [partial(shards.boards, plan, at, len(groups), span) for at in range(parts)]
    made = run_step(plan, "boards", tasks, progress)
    for facts in made:
        tally.add(Tally.of(facts["tally"]))
    if not sum(facts["edges"] for facts in made):
        why = "; ".join(f"{n} rows: {what}" for what, n in tally.dropped.items()) or "the input has no rows"
        raise DataError(f"edges: no edge is left to build a graph from ({why})")
    groups_of_pins = run_step(plan, "pins", [partial(shards.pins, plan, at) for at in range(pin_parts)], progress)
    counts = np.array([facts["locale_counts"] for facts in groups_of_pins], np.int64)  # [pin range, locale]
    starts = (np.cumsum(counts.T.ravel()) - counts.T.ravel()).reshape(counts.T.shape).T
    run_step(plan, "finish", [partial(shards.finish, plan, at, starts) for at in range(parts)], progress)
    dated, recent = assemble(plan, folder, counts, locales, progress)
    _sweep(Path(plan.scratch))
    return Built(Graph.open(folder), dated, recent, span, tally)


def _sweep(done: Path) -> None:
    """Removes the scratch of a finished build, and those of builds that nobody has continued for a day."""
    shutil.rmtree(done)
    for left in done.parent.iterdir():
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):  # another build is using it
        done.parent.rmdir()


def _groups(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Consecutive row groups, about GROUP_ROWS together, as the work of one scatter task."""
    groups: list[list[Piece]] = []
    rows = GROUP_ROWS
    for piece in pieces:
        if rows + piece.rows > GROUP_ROWS:
            groups.append([])
            rows = 0
        groups[-1].append(piece)
        rows += piece.rows
    return groups


def _plan(
    edges: Input,
    groups: Sequence[Sequence[Piece]],
    settings: GraphSettings,
    scratch: Path,
    nodes: KnownPins | None,
    now: int,
    before: int | None,
) -> tuple[PartitionPlan, list[str] | None]:
    """The plan of a new build, or of the one in `scratch` that was interrupted."""
    pin_map = None if nodes is None else nodes.pin_map
    codes, locales = (None, None) if nodes is None or pin_map is None else nodes.locale_codes(pin_map)
    listed = None if nodes is None else nodes.listed(before)
    home = scratch / _fingerprint(edges, settings, before, pin_map, listed, codes)
    home.mkdir(parents=True, exist_ok=True)
    names = ("board_id", "pin_id", *(["saved_at"] if edges.has("saved_at") else []))
    known = pin_map is not None
    plan = PartitionPlan(str(home), (), (), names, now, before, settings, known, len(locales or ()))
    facts = home / "plan.json"
    if facts.exists():
        noted = json.loads(facts.read_text())
        board_bounds = noted["board_bounds"]
        pin_bounds = noted["pin_bounds"]
        now = noted["now"]
        return replace(plan, board_bounds=tuple(board_bounds), pin_bounds=tuple(pin_bounds), now=now), locales
    board_bounds, pin_bounds = _sample_bounds(edges, settings.partitions)
    if pin_map is not None:
        pin_map.save(home, "known")
    if listed is not None:
        ranges = range_of(listed, pin_bounds)  # ascending, as the ids are
        cuts = np.searchsorted(ranges, np.arange(len(pin_bounds) + 2)).tolist()
        for at, (low, high) in enumerate(pairwise(cuts)):
            write_arrays(plan.path("listed", at), ids=listed.slice(low, high - low))
    if codes is not None:
        np.save(home / "locale.npy", codes)
    facts.write_text(json.dumps({"board_bounds": board_bounds, "pin_bounds": pin_bounds, "now": now}))
    return replace(plan, board_bounds=tuple(board_bounds), pin_bounds=tuple(pin_bounds)), locales


def _fingerprint(
    edges: Input,
    settings: GraphSettings,
    before: int | None,
    pin_map: IdMap | None,
    listed: pa.Array | None,
    codes: np.ndarray | None,
) -> str:
    digest = hashlib.sha256(
        repr((SCRATCH_FORMAT, settings, before, edges.source, [c.type for c in edges.columns])).encode()
    )
    for file in edges.files:
        system, path = filesystem(file)
        info = system.get_file_info(path)
        digest.update(f"{file} {info.size} {info.mtime_ns}".encode())
    if pin_map is not None:
        step = max(len(pin_map) // 100_000, 1)
        digest.update(repr((len(pin_map), pin_map.ids_of(np.arange(0, len(pin_map), step)).tolist())).encode())
    for buffer in [] if listed is None else listed.buffers():
        digest.update(b"" if buffer is None else buffer)
    digest.update(b"" if codes is None else codes.tobytes())
    return digest.hexdigest()[:16]


def _sample_bounds(edges: Input, parts: int) -> tuple[list[Any], list[Any]]:
    """First ids of all ranges but the lowest, so that ranges hold about as many sampled edges each."""
    pieces = edges.pieces[:: max(len(edges.pieces) // SAMPLE_PIECES, 1)]
    seen: dict[str, list[pa.Array]] = {"board_id": [], "pin_id": []}
    for piece in pieces:
        batch = next(edges.batches([piece], ("board_id", "pin_id"))).table
        for name, samples in seen.items():
            ids = batch[name].drop_null().combine_chunks()
            samples.append(ids.take(pa.array(np.arange(0, len(ids), max(len(ids) // SAMPLE_IDS, 1)))))
    out = []
    for samples in seen.values():
        ordered = sorted(pa.concat_arrays(samples).to_pylist()) if samples else []
        picks = [ordered[len(ordered) * cut // parts] for cut in range(1, parts)] if ordered else []
        out.append(sorted(set(picks)))
    return out[0], out[1]
