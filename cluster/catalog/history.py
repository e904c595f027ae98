"""Each user's newest actions out of a stream of cleaned events, in bounded memory. Knows nothing of files."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.cleaning import Tally
from cluster.graph.ids import IdMap

NOT_IN_GRAPH = "pin_id is not in the graph"
REPEATED_EVENT = "event_id is there twice (one row is kept)"
COMPACT_ROWS = 4_000_000


@dataclass(frozen=True)
class History:
    """CSR over `user_ids`: the actions of user u are rows offsets[u] .. offsets[u+1]-1, newest first."""

    user_ids: pa.Array
    offsets: np.ndarray  # int64[U+1]
    pins: np.ndarray  # int32[H], the graph's pin index
    actions: np.ndarray  # int16[H], into `action_names`
    clients: np.ndarray  # int16[H], into `client_names`
    occurred_at: np.ndarray  # int64[H], microseconds
    action_names: tuple[str, ...]
    client_names: tuple[str, ...]


class NewestActions:
    """Keeps the newest `most` events of every user; feed it batches, then `finish`."""

    def __init__(self, most: int, pin_ids: IdMap, tally: Tally, actions: tuple[str, ...] | None = None):
        """With `actions`, only those are kept."""
        self._most = most
        self._pin_ids = pin_ids
        self._tally = tally
        self._actions = None if actions is None else pa.array(list(actions), pa.string())
        self._tables: list[pa.Table] = []
        self._rows = 0
        self._fed = 0  # events so far: among equal times the one that came later is the newer

    def feed(self, events: pa.Table) -> None:
        """Takes cleaned events; those with pins that are not in the graph are counted and dropped."""
        if self._actions is not None:
            events = events.filter(pc.is_in(events["action"], self._actions))
        pins = self._pin_ids.index_of(events["pin_id"])
        unknown = int((pins < 0).sum())
        columns = ["user_id", "action", "occurred_at", "event_id", "client"]
        came = pa.array(np.arange(self._fed, self._fed + len(events)))
        self._fed += len(events)
        table = events.select(columns).append_column("pin", pa.array(pins)).append_column("came", came)
        if unknown:
            self._tally.dropped[NOT_IN_GRAPH] += unknown
            table = table.filter(pa.array(pins >= 0))
        self._tables.append(table)
        self._rows += len(table)
        if self._rows > COMPACT_ROWS:
            self._tables = [self._trimmed()]
            self._rows = len(self._tables[0])

    def finish(self) -> History | None:
        """The history of every user that had an event, or None without events."""
        table = self._trimmed() if self._tables else None
        if table is None or not len(table):
            return None
        users, offsets = _runs(table["user_id"].combine_chunks())
        actions, action_names = _coded(table["action"])
        clients, client_names = _coded(table["client"].fill_null(""))
        return History(
            user_ids=users,
            offsets=offsets,
            pins=table["pin"].to_numpy(),
            actions=actions,
            clients=clients,
            occurred_at=table["occurred_at"].cast(pa.int64()).to_numpy(),
            action_names=action_names,
            client_names=client_names,
        )

    def _trimmed(self) -> pa.Table:
        """Sorted by user, newest first (of one moment: the later row), `most` rows a user, each event_id once."""
        table = pa.concat_tables(self._tables).combine_chunks()
        table = table.sort_by([("user_id", "ascending"), ("occurred_at", "descending"), ("came", "descending")])
        ids = table["event_id"]
        if ids.null_count < len(ids):
            first = pa.table({"id": ids, "row": np.arange(len(table))}).group_by("id").aggregate([("row", "min")])
            keep = np.asarray(ids.is_null()).copy()
            keep[first["row_min"].to_numpy()] = True
            if not keep.all():
                self._tally.dropped[REPEATED_EVENT] += int((~keep).sum())
                table = table.filter(pa.array(keep))
        _, offsets = _runs(table["user_id"].combine_chunks())
        rank = np.arange(len(table)) - np.repeat(offsets[:-1], np.diff(offsets))  # within the user, 0 the newest
        return table.filter(pa.array(rank < self._most))


def _runs(ordered: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Distinct values of a sorted column and the offsets int64[U+1] of their runs."""
    if not len(ordered):
        return ordered, np.zeros(1, np.int64)
    new = np.asarray(pc.not_equal(ordered[1:], ordered[:-1]))
    starts = np.concatenate([[0], np.flatnonzero(new) + 1]).astype(np.int64)
    return ordered.take(pa.array(starts)), np.append(starts, len(ordered))


def _coded(column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int16), tuple(encoded.dictionary.to_pylist())
