"""The four steps of an out-of-core graph build, each a plain function of one piece of work. Knows nothing of Ray.

Edges are cut into board ranges, then into pin ranges; every step reads the files of the one before, writes its own:

    scatter   input rows -> scatter/<g>.arrow    cleaned edges, one record batch per board range
    boards    one board range -> boards/<i>/     distinct edges as two small CSRs over local ranks (the only sort)
    pins      one pin range -> pins/<j>/         rows of that range from all board ranges, appended in board order;
                                                 pins without an edge from listed/<j>/ have empty ones
    finish    one board range -> finish/<i>/     the same edges with their final pin indices

A folder or file that has its facts (<name>.json) is complete: a restarted build skips it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.cleaning import Tally, clean_edges
from cluster.data.reading import Input, Piece
from cluster.graph.csr_sort import transpose
from cluster.graph.edges import index_edges, rank
from cluster.graph.ids import IdMap
from cluster.graph.partition import PartitionPlan, range_of, read_ids, write_arrays
from cluster.graph.span import Span

FLUSH_ROWS = 2_000_000
"""Rows that one scatter task holds before it writes them."""


def scatter(plan: PartitionPlan, at: int, edges: Input, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Cleans some row groups and cuts them into board ranges: batch f*P + p of the file is range p of flush f."""
    tally = Tally()
    span = Span()
    parts = len(plan.board_bounds) + 1
    target = plan.path("scatter", at).with_suffix(".arrow")
    target.parent.mkdir(parents=True, exist_ok=True)
    schema = edges.schema(plan.names)
    waiting = list[pa.Table]()
    rows = 0
    with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:

        def flush() -> None:
            table = pa.concat_tables(waiting).combine_chunks() if waiting else schema.empty_table()
            ranges = range_of(table["board_id"].combine_chunks(), plan.board_bounds)
            table = table.take(pa.array(np.argsort(ranges, kind="stable"))).combine_chunks()
            ends = np.cumsum(np.bincount(ranges, minlength=parts))
            for start, end in zip([0, *ends[:-1]], ends, strict=True):
                batches = table.slice(start, end - start).to_batches()
                writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], schema))
            waiting.clear()

        for batch in edges.batches(pieces, plan.names):
            clean = clean_edges(batch.table, plan.now, tally, plan.before)
            if "saved_at" in plan.names:
                span = span.union(Span.of(clean["saved_at"]))
            waiting.append(clean)
            if sum(map(len, waiting)) >= FLUSH_ROWS:
                flush()
            rows += len(clean)
        flush()
    return plan.note("scatter", at, tally=tally.as_dict(), span=span.to_dict(), rows=rows)


def boards(plan: PartitionPlan, at: int, files: int, span: Span) -> dict[str, Any]:
    """Distinct edges of one board range, grouped both ways by local rank."""
    parts = len(plan.board_bounds) + 1
    tables = list[pa.Table]()
    for file in range(files):
        source = pa.memory_map(str(plan.path("scatter", file).with_suffix(".arrow")))
        reader = pa.ipc.open_file(source)
        tables += [pa.table(reader.get_batch(b)) for b in range(at, reader.num_record_batches, parts)]
    tally = Tally()
    known = IdMap.open(plan.scratch, "known") if plan.known_pins else None
    indexed = index_edges(pa.concat_tables(tables), plan.settings, tally, known)
    del tables
    n_boards = len(indexed.board_ids)
    n_pins = len(indexed.pin_ids)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(indexed.boards, minlength=n_boards))]).astype(np.int64)
    pin_offsets, pin_boards = transpose(offsets, indexed.pins, n_pins)
    dated, recent = indexed.pin_counts(span)
    write_arrays(
        plan.path("boards", at),
        offsets=offsets,
        pins=indexed.pins,
        pin_offsets=pin_offsets,
        pin_boards=pin_boards,
        dated=dated,
        recent=recent,
        board_ids=indexed.board_ids,
        pin_ids=indexed.pin_ids,
    )
    ranges = range_of(indexed.pin_ids, plan.pin_bounds)  # ascending, as the ids are
    cuts = np.searchsorted(ranges, np.arange(len(plan.pin_bounds) + 2)).tolist()
    return plan.note("boards", at, tally=tally.as_dict(), boards=n_boards, edges=len(indexed.pins), cuts=cuts)


def pins(plan: PartitionPlan, at: int) -> dict[str, Any]:
    """All pins of one pin range, ordered by (locale, id), each with its final board indices, ascending.

    They are the pins with an edge, and those that are listed without one.
    """
    sources = [_Part(plan, i, at) for i in range(len(plan.board_bounds) + 1)]
    listed = [read_ids(plan.path("listed", at), "ids")] if plan.known_pins else []
    ids = pa.concat_arrays([*(s.pin_ids for s in sources), *listed])
    distinct, codes = rank(ids)
    locale = _locales(plan, distinct)
    order = np.argsort(locale, kind="stable") if plan.n_locales else np.arange(len(distinct))
    row_of = np.empty(len(distinct), np.int32)
    row_of[order] = np.arange(len(distinct), dtype=np.int32)
    degree, dated, recent = (np.zeros(len(distinct), np.int64) for _ in range(3))
    targets = []
    start = 0
    for source in sources:
        target = row_of[codes[start : start + len(source.pin_ids)]]
        start += len(source.pin_ids)
        degree[target] += np.diff(source.offsets)
        dated[target] += source.dated
        recent[target] += source.recent
        targets.append(target)
    cursor = np.concatenate([[0], np.cumsum(degree)])
    out = np.empty(int(cursor[-1]), np.int32)
    base = 0
    for source, target in zip(sources, targets, strict=True):
        _append_rows(source.offsets, source.boards, np.int32(base), target, cursor, out)
        base += source.n_boards
    write_arrays(
        plan.path("pins", at),
        ids=distinct.take(pa.array(order)),
        sorted_ids=distinct,
        rows=row_of,
        degree=degree.astype(np.int32),
        boards=out,
        dated=dated.astype(np.int32),
        recent=recent.astype(np.int32),
    )
    counts = np.bincount(locale, minlength=max(plan.n_locales, 1)).tolist()
    return plan.note("pins", at, locale_counts=counts, edges=len(out))


def finish(plan: PartitionPlan, at: int, starts: np.ndarray) -> dict[str, Any]:
    """Final pin indices of one board range; `starts` int64[pin ranges, locales] is where each group of pins begins."""
    folder = plan.path("boards", at)
    facts = plan.facts("boards", at)
    ids = read_ids(folder, "pin_ids")
    index = np.empty(len(ids), np.int32)
    for j in range(len(plan.pin_bounds) + 1):
        low = facts["cuts"][j]
        high = facts["cuts"][j + 1]
        group = plan.path("pins", j)
        counts = np.asarray(plan.facts("pins", j)["locale_counts"])
        final = np.repeat(starts[j] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
        rows = _find_sorted(read_ids(group, "sorted_ids"), ids.slice(low, high - low))
        index[low:high] = final[np.load(group / "rows.npy")[rows]]
    offsets = np.load(folder / "offsets.npy")
    out = index[np.load(folder / "pins.npy", mmap_mode="r")]
    if plan.n_locales:  # renumbering by locale has broken the order within boards
        key = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64) << 32, np.diff(offsets)) | out
        key.sort()
        out = (key & 0xFFFFFFFF).astype(np.int32)
    write_arrays(plan.path("finish", at), pins=out)
    return plan.note("finish", at, edges=len(out))


class _Part:
    """The rows of one pin range in one board range."""

    def __init__(self, plan: PartitionPlan, board_range: int, pin_range: int) -> None:
        folder = plan.path("boards", board_range)
        facts = plan.facts("boards", board_range)
        low = facts["cuts"][pin_range]
        high = facts["cuts"][pin_range + 1]
        self.n_boards: int = facts["boards"]
        self.pin_ids = read_ids(folder, "pin_ids").slice(low, high - low)
        self.offsets = np.asarray(np.load(folder / "pin_offsets.npy", mmap_mode="r")[low : high + 1])
        self.boards = np.asarray(np.load(folder / "pin_boards.npy", mmap_mode="r"))
        self.dated = np.load(folder / "dated.npy", mmap_mode="r")[low:high]
        self.recent = np.load(folder / "recent.npy", mmap_mode="r")[low:high]


@nb.njit(cache=True, nogil=True)
def _append_rows(offsets, values, base, target, cursor, out):  # type: ignore[no-untyped-def]
    """Appends row r of a CSR, `base` added, to the row target[r] of `out`, whose fill marks are `cursor`."""
    for r in range(target.size):
        at = cursor[target[r]]
        for e in range(offsets[r], offsets[r + 1]):
            out[at] = values[e] + base
            at += 1
        cursor[target[r]] = at


def _locales(plan: PartitionPlan, ids: pa.Array) -> np.ndarray:
    """Locale code of each id of the pins input, the last code where it has none; zeros without locales."""
    if not plan.n_locales:
        return np.zeros(len(ids), np.int64)
    rows = IdMap.open(plan.scratch, "known").index_of(ids)
    codes = np.load(Path(plan.scratch) / "locale.npy", mmap_mode="r")
    return np.where(rows >= 0, codes[np.maximum(rows, 0)], plan.n_locales - 1).astype(np.int64)


def _find_sorted(known: pa.Array, wanted: pa.Array) -> np.ndarray:
    if pa.types.is_integer(known.type):
        return np.searchsorted(known.to_numpy(), wanted.to_numpy())
    return pc.index_in(wanted, known).to_numpy()
