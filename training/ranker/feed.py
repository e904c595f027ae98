"""A stream of training tables → shuffled `RequestBatch`es. Parquet files or any iterator of Arrow tables; no
torch, no Ray.

`ParquetFeed` gives the same order for the same seed and epoch, whatever the number of workers, and can start
anywhere in an epoch: that is what makes a resumed run follow the undisturbed one.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.data.files import UNREADABLE
from cluster.errors import DataError
from training.ranker.batch import RankerSchema, RequestBatch

T = TypeVar("T")


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items, made by a thread that runs up to `depth` ahead: Arrow and numpy release the interpreter
    lock.
    """
    made: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(depth)
    stop = threading.Event()

    def put(entry: tuple[T | None, BaseException | None, bool]) -> None:
        while not stop.is_set():
            try:
                made.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None, False))
                if stop.is_set():
                    return
            put((None, None, True))
        except BaseException as error:  # handed to the consumer, raised there
            put((None, error, True))

    thread = threading.Thread(target=work, daemon=True, name="ranker-feed")
    thread.start()
    try:
        while True:
            item, error, last = made.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()


def shuffled(
    tables: Iterable[pa.Table],
    schema: RankerSchema,
    batch_requests: int,
    window: int,
    seed: Sequence[int],
    *,
    skip: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[RequestBatch]:
    """Cut a stream into windows of `window` requests, shuffle within each, yield batches of `batch_requests`.

    With `world` > 1 the workers read the same stream and each takes its part of every batch of world ·
    batch_requests. `skip` leaves out the first requests of the shuffled stream (a multiple of the whole step,
    except at the very end).
    """
    rng = np.random.default_rng(list(seed))
    step = batch_requests * world
    window = max(window // step, 1) * step
    pending: list[pa.Table] = []
    held = 0

    def drain(final: bool) -> Iterator[RequestBatch]:
        nonlocal pending, held, skip
        table = pa.concat_tables(pending)
        while held >= window or (final and held):
            part, table = table.slice(0, window), table.slice(min(window, held))
            held -= part.num_rows
            order = rng.permutation(part.num_rows)
            if skip >= part.num_rows:
                skip -= part.num_rows
                continue
            whole = RequestBatch.from_table(part, schema)
            for start in range(skip, part.num_rows, step):
                mine = order[start : start + step]
                mine = mine[: len(mine) // world * world] if world > 1 else mine
                share = len(mine) // world
                if share:
                    yield whole.take(mine[rank * share : (rank + 1) * share])
            skip = 0
        pending = [table] if held else []

    for table in tables:
        if table.num_rows:
            pending.append(table)
            held += table.num_rows
        if held >= window:
            yield from drain(final=False)
    if held:
        yield from drain(final=True)


class ParquetFeed:
    """Training rows in Parquet files: `feed(epoch, used)` streams one epoch from request `used` on."""

    def __init__(
        self,
        paths: Sequence[Path | str],
        schema: RankerSchema,
        batch_requests: int,
        window: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.schema = schema
        self.batch = batch_requests
        self.window = window
        self.seed = seed
        self.rank = rank
        self.world = world
        self.groups: list[tuple[str, int]] = []
        self.requests = 0
        for path in paths:
            try:
                about = pq.read_metadata(path)
            except UNREADABLE as error:
                raise DataError(
                    f"training rows {path}: not a readable Parquet file ({error}): rebuild the examples"
                ) from error
            self.groups += [(str(path), g) for g in range(about.num_row_groups)]
            self.requests += about.num_rows

    def tables(self, order: Sequence[int]) -> Iterator[pa.Table]:
        """Row groups in the given order."""
        for i in order:
            path, group = self.groups[i]
            yield pq.ParquetFile(path).read_row_group(group)

    def sample(self, requests: int) -> pa.Table:
        """About so many rows, taken evenly over the files, for input statistics."""
        want = max(1, min(len(self.groups), -(-requests * len(self.groups) // max(self.requests, 1))))
        picked = sorted({int(i) for i in np.linspace(0, len(self.groups) - 1, want)})
        return pa.concat_tables(self.tables(picked)).slice(0, requests)

    def __call__(self, epoch: int, used: int = 0) -> Iterator[RequestBatch]:
        """Batches of one epoch, prepared one ahead."""
        order = np.random.default_rng([self.seed, epoch, 0]).permutation(len(self.groups))
        stream = shuffled(
            self.tables([int(i) for i in order]),
            self.schema,
            self.batch,
            self.window,
            (self.seed, epoch, 1),
            skip=used,
            rank=self.rank,
            world=self.world,
        )
        return ahead(stream)


def stream_feed(
    tables: Callable[[int], Iterable[pa.Table]],
    schema: RankerSchema,
    batch_requests: int,
    window: int,
    seed: int,
    world: int = 1,
) -> Callable[[int, int], Iterator[RequestBatch]]:
    """As ParquetFeed over a stream that is already this worker's share (a Ray Data shard). `used` counts all
    workers.
    """

    def feed(epoch: int, used: int) -> Iterator[RequestBatch]:
        stream = shuffled(tables(epoch), schema, batch_requests, window, (seed, epoch, 1), skip=used // world)
        return ahead(stream)

    return feed
