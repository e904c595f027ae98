"""The rows of one training run in three parts of time: to fit on, to choose and calibrate by, held out for the gate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.store.logs import ROW_GROUP_REQUESTS
from training.full.rows import LOG_COLUMNS, MakeRows
from training.judge.orders import Order
from training.log.attribution import as_datetime64
from training.log.moments import Moments
from training.log.requests import Joined
from training.log.tasks import LogWindow

ORDERED_BYTES = 512 << 20
"""Of rows in memory, up to which a part is put in the order of its requests."""

VALID_SHARE = 0.15
"""Of the requests before the held-out time, the last ones that stop and calibrate the fit."""


@dataclass(frozen=True)
class Parts:
    """Paths of the Parquet files of each part that hold any row; requests of different parts are apart in time."""

    train: list[str]
    valid: list[str]
    held: list[str]

    def requests(self) -> dict[str, int]:
        """Number of requests by part."""
        return {name: sum(pq.read_metadata(p).num_rows for p in paths) for name, paths in vars(self).items()}

    def newest(self, requests: int, folder: Path) -> "Parts":
        """These parts with about so many training requests at most, the latest ones, written below `folder`."""
        if self.requests()["train"] <= requests:
            return self
        times = Moments.merged(map(_times, self.train))
        first, target = times.at(len(times) - requests), folder / "newest.parquet"
        folder.mkdir(parents=True, exist_ok=True)
        writer = None
        for path in self.train:
            for batch in pq.ParquetFile(path).iter_batches(ROW_GROUP_REQUESTS):
                table = pa.Table.from_batches([batch])
                table = table.filter(pa.array(as_datetime64(table.column("requested_at")) >= first))
                writer = writer or pq.ParquetWriter(target, table.schema)
                writer.write_table(table)
        assert writer is not None
        writer.close()
        return replace(self, train=[str(target)])


def _times(path: str) -> Moments:
    return Moments.of(as_datetime64(pq.read_table(path, columns=["requested_at"], partitioning=None)["requested_at"]))


def write_parts(
    joined: Joined,
    before: Mapping[str, LogWindow],
    held: Mapping[str, LogWindow],
    make: MakeRows,
    orders: Mapping[str, Order],
    folder: Path,
) -> Parts:
    """Write the rows of the windows `before` and `held` of each client below `folder`.

    The held-out ones have the `orders` that serving gives without a full ranker.
    """
    cuts = {name: joined.index.times(name).inside(window).split(VALID_SHARE) for name, window in before.items()}
    windows: dict[str, dict[str, LogWindow]] = {
        "train": {n: LogWindow(until=cut) for n, cut in cuts.items()},
        "valid": {n: LogWindow(since=cut, until=before[n].until) for n, cut in cuts.items()},
        "held": dict(held),
    }
    plain = replace(make, source_dropout=0.0)
    makers = {"train": make, "valid": plain, "held": replace(plain, orders=orders, unimpressed_replayed=None)}
    out = {}
    for part, window in windows.items():
        rows = joined.requests(LOG_COLUMNS, window).map_batches(makers[part], batch_format="pyarrow", batch_size=None)
        rows.write_parquet(str(folder / part))
        files = sorted(str(p) for p in (folder / part).glob("*.parquet"))
        out[part] = in_order([f for f in files if pq.read_metadata(f).num_rows], folder / f"{part}.parquet")
    return Parts(**out)


def in_order(paths: list[str], target: Path) -> list[str]:
    """The rows of a small part by time, then id, in one file: a fit then depends on what is in the log alone.

    Those of a large part stay as they came: its fit draws them over and over, and it would not fit into memory.
    """
    groups = [
        meta.row_group(at) for path in paths for meta in (pq.read_metadata(path),) for at in range(meta.num_row_groups)
    ]
    if not groups or sum(group.total_byte_size for group in groups) > ORDERED_BYTES:
        return paths
    rows = pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths])
    rows = rows.sort_by([("requested_at", "ascending"), ("request_id", "ascending")])
    pq.write_table(rows, target, row_group_size=ROW_GROUP_REQUESTS)
    for path in paths:
        Path(path).unlink()
    return [str(target)]
