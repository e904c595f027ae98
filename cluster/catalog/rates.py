"""How often each client showed a pin and users then acted on it, counted from the logs up to the moment of a build.

Only what was really served counts: replayed history showed nothing. The counts are as old as the graph, and features
read them as they were when the request came, so a model never learns from what it could not have known.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.schema import IMPRESSED
from cluster.errors import BundleError
from cluster.graph.ids import IdMap
from cluster.store.log_parts import readable_batches
from cluster.store.logs import LogStore
from cluster.store.replays import REPLAYED
from cluster.store.roomy import with_room

PRIOR = 20.0
"""Impressions that a client's mean rate weighs in the rate of one pin."""

BATCH = 64
"""Requests that are read at once."""


@dataclass(frozen=True)
class ActionRates:
    """Counts of n pins by client, memory-mapped. Clients without a log are not among them."""

    clients: tuple[str, ...]
    shown: np.ndarray  # int32[n, C]
    acted: np.ndarray  # int32[n, C], impressions that led to an action which is not negative

    def lift(self, client: str, pins: np.ndarray) -> np.ndarray:
        """float32[k]: log of each pin's smoothed rate of actions over the client's mean; NaN where no log tells it."""
        at = self._column(client)
        if at is None:
            return np.full(len(pins), np.nan, np.float32)
        mean = self._means[at]
        if not mean > 0:
            return np.full(len(pins), np.nan, np.float32)
        rate = (self.acted[pins, at] + PRIOR * mean) / (self.shown[pins, at] + PRIOR)
        return np.log(rate / mean).astype(np.float32)

    def impressions(self, client: str, pins: np.ndarray) -> np.ndarray:
        """float32[k]: how often the client showed each pin; NaN without a log."""
        at = self._column(client)
        return np.full(len(pins), np.nan, np.float32) if at is None else self.shown[pins, at].astype(np.float32)

    @cached_property
    def _means(self) -> np.ndarray:
        """float64[C], each client's rate of actions over all pins; NaN without an impression. Every request asks."""
        shown, acted = (counts.sum(axis=0, dtype=np.int64) for counts in (self.shown, self.acted))
        return np.divide(acted, shown, out=np.full(len(shown), np.nan), where=shown > 0)

    def _column(self, client: str) -> int | None:
        return self.clients.index(client) if client in self.clients else None

    def with_room(self, n_pins: int) -> "ActionRates":
        """The same counts, with pins behind that nobody was shown."""
        made = ActionRates(self.clients, with_room(self.shown, n_pins), with_room(self.acted, n_pins))
        made.__dict__["_means"] = self._means  # the same, and read from all pins only once
        return made

    def save(self, folder: Path) -> None:
        """Writes what `open` maps."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "shown.npy", self.shown)
        np.save(folder / "acted.npy", self.acted)
        (folder / "clients.json").write_text(json.dumps(self.clients), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path, n_pins: int) -> "ActionRates":
        """Maps the files of `save`; a bundle without them has no clients. Raises BundleError when they do not fit."""
        if not (folder / "clients.json").exists():
            return cls((), np.zeros((n_pins, 0), np.int32), np.zeros((n_pins, 0), np.int32))
        clients = tuple(json.loads((folder / "clients.json").read_text(encoding="utf-8")))
        shown, acted = (np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in ("shown", "acted"))
        if not shown.shape == acted.shape == (n_pins, len(clients)):
            raise BundleError(f"the rates in {folder} do not fit the graph; build the graph again")
        return cls(clients, shown, acted)


def count_rates(
    logs: LogStore, pin_ids: IdMap, negative_actions: Collection[str], until: datetime, days: int
) -> ActionRates:
    """Counts over the `days` before `until`, of every client with a log. Reads the logs file by file, in this process.

    An impression counts as acted on when an event names its request and pin, once, whatever the action that is not
    negative. A damaged file is named in a warning, and left out.
    """
    since = until - timedelta(days=days)
    files = logs.serving_files(None, since, until).files
    clients = tuple(sorted({file.client for file in files}))
    shown, acted = (np.zeros((len(pin_ids), len(clients)), np.int32) for _ in range(2))
    column = {name: at for at, name in enumerate(clients)}
    for file in files:
        try:
            for batch in readable_batches(file.path, BATCH, ("requested_at", "experiment", "pin_id", "stage")):
                pins = pin_ids.index_of(_impressed(pa.Table.from_batches([batch]), since, until))
                np.add.at(shown[:, column[file.client]], pins[pins >= 0], 1)
        except FileNotFoundError:  # compaction removed it since the listing
            continue
    seen: set[tuple[str, object]] = set()
    for events in logs.each_events(since, until) if clients else ():
        new: dict[tuple[str, object], int] = {}
        for request, client, pin in _answers(events, negative_actions, since, until):
            if client in column and (request, pin) not in seen:
                new.setdefault((request, pin), column[client])
        seen.update(new)
        index = pin_ids.index_of([pin for _, pin in new])
        of = np.fromiter(new.values(), np.int64, len(new))
        np.add.at(acted, (index[index >= 0], of[index >= 0]), 1)
    live = np.flatnonzero(shown.any(axis=0))  # a client that was only replayed is as one without a log
    names = tuple(clients[at] for at in live)
    return ActionRates(names, shown[:, live], np.minimum(acted, shown)[:, live])


def _impressed(table: pa.Table, since: datetime, until: datetime) -> pa.Array:
    """Ids of the pins that were shown, by requests that were served in [since, until)."""
    live = pc.not_equal(table["experiment"].fill_null(""), REPLAYED)
    table = table.filter(pc.and_(live, _within(table["requested_at"], since, until)))
    pins, stages = (pc.list_flatten(table[name].combine_chunks()) for name in ("pin_id", "stage"))
    return pins.filter(pc.equal(stages, IMPRESSED))


def _answers(
    events: pa.Table, negative_actions: Collection[str], since: datetime, until: datetime
) -> list[tuple[str, str, object]]:
    """(request, client, pin) of events in [since, until) that answer a request with an action that is not negative."""
    good = pc.invert(pc.is_in(events["action"], pa.array(sorted(negative_actions), pa.string())))
    named = pc.and_(pc.is_valid(events["request_id"]), pc.is_valid(events["client"]))
    rows = events.filter(pc.and_(pc.and_(good, named), _within(events["occurred_at"], since, until)))
    return list(zip(*(rows[name].to_pylist() for name in ("request_id", "client", "pin_id")), strict=True))


def _within(times: pa.ChunkedArray, since: datetime, until: datetime) -> pa.ChunkedArray:
    return pc.and_(pc.greater_equal(times, pa.scalar(since, times.type)), pc.less(times, pa.scalar(until, times.type)))
