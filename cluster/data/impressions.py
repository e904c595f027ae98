"""Which impressions count, and which of them each event answers. Knows nothing of files, graphs or logs.

An impression is one pin of one request that some other system showed.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.contract.moments import MICROSECONDS_PER_HOUR
from cluster.data.cleaning import Tally, drop, drop_bad_ids, drop_bad_times

LAST_POSITION = int(np.iinfo(np.int16).max)
"""The serving log has positions as int16."""
OF_REQUEST = ("user_id", "shown_at", "client")
"""Columns that say something of the whole request."""
SHOWN_TWICE = "pin_id is there twice in its request (its first position is kept)"
POSITION_TAKEN = "position is taken in its request already (the first row is kept)"


def clean_impressions(table: pa.Table, now: int, tally: Tally) -> pa.Table:
    """Impressions with ids, a position and a time not after `now` (microseconds), of requests that are of one piece.

    A request that names two users, times or clients is dropped whole: nothing says which is right. Within a request a
    pin counts once and a position is taken once. The rows that are left keep their order.
    """
    table = drop_bad_ids(table, ("request_id", "user_id", "pin_id"), tally)
    table = drop_bad_times(table, "shown_at", now, tally)
    position = table["position"]
    table = drop(table, pc.is_null(position), "position is null", tally)
    table = drop(table, pc.less(table["position"], 0), "position is negative", tally)
    too_far = f"position is beyond {LAST_POSITION:,}"
    table = drop(table, pc.greater(table["position"], LAST_POSITION), too_far, tally)
    for name in OF_REQUEST:
        table = drop(table, _torn(table, name), f"{name} is not the same in the whole request", tally)
    pins = _codes(table["pin_id"])
    table = drop(table, _again(_codes(table["request_id"]), pins, _positions(table)), SHOWN_TWICE, tally)
    return drop(table, _again(_codes(table["request_id"]), _positions(table)), POSITION_TAKEN, tally)


def answered(events: pa.Table, impressions: pa.Table, hours: float) -> np.ndarray:
    """int64[E]: a row of cleaned `impressions` of the request that each event answers; -1 for none.

    An event that names a request answers that one, if it is of the same user. One that names none answers the latest
    impression of its pin to its user: last touch, so that no action counts twice. What happened more than `hours` after
    the request answers nothing.
    """
    window = hours * MICROSECONDS_PER_HOUR
    shown_at, at = _microseconds(impressions["shown_at"]), _microseconds(events["occurred_at"])
    users, their_users = _shared_codes(impressions["user_id"], events["user_id"])
    named = np.asarray(pc.fill_null(pc.not_equal(events["request_id"], ""), False))
    row = pc.index_in(events["request_id"], value_set=impressions["request_id"].combine_chunks())
    out = np.asarray(row.fill_null(-1).to_numpy()).astype(np.int64)
    out[~named] = -1
    found = np.flatnonzero(out >= 0)
    theirs = users[out[found]] == their_users[found]
    out[found[~theirs | (at[found] - shown_at[out[found]] > window)]] = -1

    pins, their_pins = _shared_codes(impressions["pin_id"], events["pin_id"])
    asking = np.flatnonzero(~named)
    n = len(impressions)
    pair = np.concatenate([_pairs(users, pins), _pairs(their_users[asking], their_pins[asking])])
    at = np.concatenate([shown_at, at[asking]])
    order = np.lexsort((np.arange(len(pair)), at, pair))  # at the same time impressions come first
    latest = np.maximum.accumulate(np.where(order < n, np.arange(len(order)), -1))
    before = order[np.maximum(latest, 0)]
    fits = (latest >= 0) & (order >= n) & (pair[before] == pair[order]) & (at[order] - at[before] <= window)
    out[asking[order[fits] - n]] = before[fits]
    return out


def _torn(table: pa.Table, name: str) -> pa.Array:
    """Marks the rows of requests whose rows differ in the column `name`."""
    request, value = _codes(table["request_id"]), _codes(table[name])
    first = np.zeros(len(request), np.int64)
    first[request[::-1]] = np.arange(len(request))[::-1]  # the first row of each request is written last
    torn = np.zeros(len(request), bool)
    torn[request[value != value[first[request]]]] = True
    return pa.array(torn[request])


def _again(request: np.ndarray, key: np.ndarray, rank: np.ndarray | None = None) -> pa.Array:
    """Marks rows whose `key` another row of the request has: all but the one of least `rank`, then the first."""
    rank = np.zeros(len(key)) if rank is None else rank
    order = np.lexsort((np.arange(len(key)), rank, key, request))
    again = np.zeros(len(key), bool)
    same = (np.diff(request[order]) == 0) & (np.diff(key[order]) == 0)
    again[order[1:][same]] = True
    return pa.array(again)


def _positions(table: pa.Table) -> np.ndarray:
    return np.asarray(table["position"].to_numpy())


def _microseconds(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.int64()).to_numpy())


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """int64[n]: the same small number for the same value; null is a value too."""
    coded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return np.asarray(coded.indices.to_numpy()).astype(np.int64)


def _shared_codes(one: pa.ChunkedArray, other: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    both = _codes(pa.chunked_array([*one.chunks, *other.chunks], one.type))
    return both[: len(one)], both[len(one) :]


def _pairs(users: np.ndarray, pins: np.ndarray) -> np.ndarray:
    """One number for each pair of codes."""
    return (users << 32) | pins
