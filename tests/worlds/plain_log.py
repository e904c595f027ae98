"""What training once read of a log, all ids in one process: the slow, obvious reference for the bounded way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cluster.store.log_parts import read_part
from cluster.store.logs import LogFiles
from training.log.attribution import EventCounts, as_datetime64, in_window
from training.log.tasks import LogWindow, bounds


@dataclass(frozen=True)
class PlainIndex:
    """Every request of a log once."""

    request_id: pa.Array
    client: np.ndarray
    requested_at: np.ndarray  # datetime64[us]
    repeated: int

    def times(self, client: str) -> np.ndarray:
        return self.requested_at[self.client == client]


def plain_index(files: LogFiles, span: LogWindow) -> PlainIndex:
    table = pa.concat_tables([read_part(path).select(["request_id", "client", "requested_at"]) for path in files.paths])
    at = as_datetime64(table.column("requested_at"))
    low, high = bounds(span)
    ids = pd.Series(table.column("request_id").to_pylist(), dtype=object)
    again = ids.duplicated().to_numpy()
    keep = ~again & (at >= low) & (at < high)
    client = np.asarray(table.column("client").to_pylist(), dtype=object)[keep]
    return PlainIndex(pa.array(ids[keep], pa.string()), client, at[keep], int(again.sum()))


def plain_split(times: np.ndarray, held_out_share: float) -> np.datetime64:
    ordered = np.sort(times)
    moment: np.datetime64 = ordered[min(round(len(ordered) * (1 - held_out_share)), len(ordered) - 1)]
    return moment


def plain_folds(times: np.ndarray, folds: int) -> tuple[LogWindow, ...]:
    ordered = np.sort(times)
    cuts = np.unique(ordered[[len(ordered) * i // folds for i in range(1, folds)]]) if len(ordered) else ordered
    cuts = cuts[cuts > ordered[0]] if len(ordered) else cuts
    return tuple(LogWindow(low, high) for low, high in zip([None, *cuts], [*cuts, None], strict=True))


def plain_counts(
    events: pa.Table, repeated: int, index: PlainIndex, window: timedelta, actions: Sequence[str]
) -> EventCounts:
    named = events.column("request_id").is_valid().to_numpy()
    known_action = pc.is_in(events.column("action"), value_set=pa.array(actions, pa.string())).to_numpy()
    at = pc.index_in(events.column("request_id"), value_set=index.request_id).fill_null(-1).to_numpy()
    found = at >= 0
    early, late = in_window(as_datetime64(events.column("occurred_at")), index.requested_at[np.maximum(at, 0)], window)
    live = named & known_action & found
    return EventCounts(
        used=int((live & ~early & ~late).sum()),
        repeated=repeated,
        without_request=int((~named).sum()),
        unknown_action=int((named & ~known_action).sum()),
        unknown_request=int((named & known_action & ~found).sum()),
        early=int((live & early).sum()),
        late=int((live & late & ~early).sum()),
    )
