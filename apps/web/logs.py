"""The logs view: the newest requests, and one of them through all stages, from Parquet. Plain values; draws nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apps.web.pins import PinCard, PinCards
from cluster.contract.text import text_fault
from cluster.data.schema import IMPRESSED, RANKED
from cluster.store.log_parts import read_part, readable_batches
from cluster.store.logs import LogStore

NEWEST = 20
DEPTH = 25
"""Candidates of a request that are shown beside those of its answer."""
FILES = 400
"""Files of the log that are searched for a request, the newest first."""
ID_BYTES = 128
COLUMNS = ("request_id", "client", "user_id", "requested_at", "degraded")


@dataclass(frozen=True)
class LoggedRequest:
    """A line of the list."""

    request_id: str
    client: str
    user_id: int | str | None
    at: datetime
    degraded: str


@dataclass(frozen=True)
class LoggedPin:
    """A candidate of a logged request, with what each stage said of it; None where it said nothing."""

    pin: PinCard
    rank: int
    position: int | None
    explored: bool
    stage: str
    sources: tuple[str, ...]
    visits: float | None
    lightweight: float | None
    full: float | None
    actions: tuple[str, ...]


@dataclass(frozen=True)
class LoggedTrace:
    """One request, as the log has it."""

    request: LoggedRequest
    versions: tuple[tuple[str, str | None], ...]
    experiment: str
    locale: str | None
    filter: str | None
    query: tuple[tuple[PinCard, float], ...]
    sources: tuple[tuple[str, int, int], ...]  # name, pins asked for, pins found
    counts: tuple[int, int, int]  # candidates, survivors, shown
    pins: tuple[LoggedPin, ...]
    events: tuple[tuple[datetime, str, int | str], ...]


def newest_requests(logs: LogStore, client: str | None = None, most: int = NEWEST) -> list[LoggedRequest]:
    """The newest first. Reads the last files alone."""
    found: list[LoggedRequest] = []
    for path in _newest_files(logs, client):
        rows = [row for batch in readable_batches(path, 256, COLUMNS) for row in batch.to_pylist()]
        found += [
            LoggedRequest(row["request_id"], row["client"], row["user_id"], row["requested_at"], row["degraded"] or "")
            for row in rows
        ]
        if len(found) >= 3 * most:
            break
    return sorted(found, key=lambda one: one.at, reverse=True)[:most]


def find_request(logs: LogStore, request_id: str, cards: PinCards) -> LoggedTrace | None:
    """One request by its id, in the newest files; None where they do not have it."""
    if not request_id or text_fault(request_id, ID_BYTES):
        return None
    for path in _newest_files(logs, None):
        ids = [batch.column(0) for batch in readable_batches(path, 1024, ("request_id",))]
        at = pc.index(pa.chunked_array(ids, pa.string()), request_id).as_py() if ids else -1
        if at >= 0:
            return _trace(read_part(path).slice(at, 1).to_pylist()[0], _events(logs, request_id), cards)
    return None


def _newest_files(logs: LogStore, client: str | None) -> Iterator[str]:
    """Paths, day by day from the newest."""
    left = FILES
    for day in reversed(logs.dates("serving")):
        moment = datetime.fromisoformat(day)
        files = sorted(logs.serving_files(client, moment, moment).files, key=lambda file: file.path, reverse=True)
        names = sorted(files, key=lambda file: file.path.rsplit("/", 1)[-1], reverse=True)
        for file in names[:left]:
            yield file.path
        left -= len(names)
        if left <= 0:
            return


def _events(logs: LogStore, request_id: str) -> list[dict[str, Any]]:
    found = []
    for day in reversed(logs.dates("events")[-14:]):
        moment = datetime.fromisoformat(day)
        for file in logs.event_files(moment, moment).files:
            for batch in readable_batches(file.path, 1 << 14, ("request_id", "occurred_at", "action", "pin_id")):
                found += batch.filter(pc.fill_null(pc.equal(batch.column(0), request_id), False)).to_pylist()
    return sorted(found, key=lambda event: event["occurred_at"])


def _trace(row: dict[str, Any], events: list[dict[str, Any]], cards: PinCards) -> LoggedTrace:
    n = len(row["pin_id"])
    names = row["source_name"] or ["walk"]
    rank = np.array(row["source_rank"] or np.zeros(n), np.int64).reshape(n, len(names))
    position = np.array(row["position"])
    stage = np.array(row["stage"])
    by_position = np.argsort(np.where(position < 0, n, position), kind="stable")
    shown = int((position >= 0).sum())
    acted: dict[int | str, list[str]] = {}
    for event in events:
        acted.setdefault(event["pin_id"], []).append(event["action"])
    pins = tuple(
        LoggedPin(
            pin=cards.of_id(row["pin_id"][at]),
            rank=at,
            position=int(position[at]) if position[at] >= 0 else None,
            explored=bool(row["explored"][at]),
            stage={IMPRESSED: "answer", RANKED: "lightweight"}.get(int(stage[at]), "candidates"),
            sources=tuple(name for column, name in enumerate(names) if rank[at, column] >= 0),
            visits=_number(row["visit_score"][at]),
            lightweight=_number(row["lightweight_score"][at]),
            full=_number(row["full_score"][at]),
            actions=tuple(acted.get(row["pin_id"][at], ())),
        )
        for at in by_position[: shown + DEPTH].tolist()
    )
    weights = row["query_weight"] or [1.0] * len(row["query_pin_id"])
    whole = sum(weights) or 1.0
    budgets = row["source_budget"] or [0] * len(names)
    return LoggedTrace(
        request=LoggedRequest(
            row["request_id"], row["client"], row["user_id"], row["requested_at"], row["degraded"] or ""
        ),
        versions=tuple((kind, row[f"{kind}_version"]) for kind in ("graph", "lightweight", "full")),
        experiment=row["experiment"] or "",
        locale=row["user_locale"],
        filter=json.dumps(json.loads(row["filter"])) if row.get("filter") else None,
        query=tuple(
            (cards.of_id(pin), weight / whole) for pin, weight in zip(row["query_pin_id"], weights, strict=True)
        ),
        sources=tuple(
            (name, budgets[at] if at < len(budgets) else 0, int((rank[:, at] >= 0).sum()))
            for at, name in enumerate(names)
        ),
        counts=(n, int((stage >= RANKED).sum()), shown),
        pins=pins,
        events=tuple((event["occurred_at"], event["action"], event["pin_id"]) for event in events),
    )


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
