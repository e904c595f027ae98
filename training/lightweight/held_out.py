"""Requests that judge models, read into this process: at most so many of each client, drawn by hash of their ids."""

from collections.abc import Mapping, Sequence

import numpy as np

from training.lightweight.splits import inside
from training.log.arrays import COLUMNS, Request, read_requests
from training.log.attribution import as_datetime64
from training.log.requests import Joined
from training.log.tasks import LogWindow

MAX_HELD_OUT = 1000
"""Held-out requests a client is judged on; more are drawn by hash of the request id."""


def held_out_requests(
    joined: Joined, windows: Mapping[str, LogWindow], most: int = MAX_HELD_OUT
) -> dict[str, list[Request]]:
    """The requests of each client's window, at most about `most` of each, in this process."""
    found = requests_in_folds(joined, {name: [window] for name, window in windows.items()}, most)
    return {name: only for name, (only,) in found.items()}


def requests_in_folds(
    joined: Joined, folds: Mapping[str, Sequence[LogWindow]], most: int = MAX_HELD_OUT
) -> dict[str, list[list[Request]]]:
    """The requests of each fold of each client's time, which follow one another; at most about `most` of a client."""
    spans = {}
    for name, parts in folds.items():
        span = LogWindow(parts[0].since, parts[-1].until)
        met = len(joined.index.times(name).inside(span))
        spans[name] = LogWindow(span.since, span.until, min(1.0, most / max(met, 1)))
    out: dict[str, list[list[tuple[int, str, Request]]]] = {name: [[] for _ in parts] for name, parts in folds.items()}
    for table in joined.requests(COLUMNS, spans).iter_batches(batch_size=None, batch_format="pyarrow"):
        if not table.num_rows:  # and perhaps without columns
            continue
        at = as_datetime64(table.column("requested_at"))
        for request in read_requests(table):
            for fold, requests in zip(folds[request.client], out[request.client], strict=True):
                if inside(fold, at[request.row : request.row + 1])[0]:
                    requests.append((int(at[request.row].astype(np.int64)), request.request_id, request))
    return {name: [_in_order(requests) for requests in parts] for name, parts in out.items()}


def _in_order(requests: list[tuple[int, str, Request]]) -> list[Request]:
    """By time, then id: figures of the same requests are the same, whichever file was read first."""
    return [request for _, _, request in sorted(requests, key=lambda one: one[:2])]
