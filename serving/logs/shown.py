"""What users were shown lately, from the serving log: read when a server starts, so that a restart forgets nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from cluster.control.forgotten import Forgotten
from cluster.settings.clients import Client
from cluster.store.log_parts import readable_batches
from cluster.store.logs import LogStore
from serving.request.ask import Id, ShownPins

COLUMNS = ("user_id", "client", "requested_at", "experiment", "pin_id", "position")
ROWS = 4096


def shown_lately(
    logs: LogStore, clients: Mapping[str, Client], now: datetime | None = None, forgotten: Forgotten | None = None
) -> list[tuple[Id, ShownPins]]:
    """The answers of clients with `policy.seen_times`, as far back as their `seen_hours`, in the log's order."""
    now = now or datetime.now(UTC)
    since = {
        name: now - timedelta(hours=client.policy.seen_hours)
        for name, client in clients.items()
        if client.policy.seen_times
    }
    found: list[tuple[Id, ShownPins]] = []
    for name, moment in since.items():
        for path in logs.serving_files(name, moment).paths:
            for batch in readable_batches(path, ROWS, COLUMNS):
                for row in batch.to_pylist():
                    if row["user_id"] is None or row["requested_at"] < moment:
                        continue
                    positions = np.array(row["position"])
                    order = np.argsort(positions, kind="stable")
                    pins = tuple(row["pin_id"][at] for at in order[(positions[order] >= 0)].tolist())
                    if pins:
                        at = round(row["requested_at"].timestamp() * 1e6)
                        if forgotten is not None and at < forgotten.before(row["user_id"]):
                            continue
                        found.append((row["user_id"], ShownPins(row["client"], at, pins)))
    return found
