"""Which time of each client's log trains a model and which, later, judges it. Knows nothing of rows or models."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.log.requests import Joined
from training.log.tasks import LogWindow


def windows_of(
    joined: Joined, clients: Sequence[str], held_out_share: float
) -> tuple[dict[str, LogWindow], dict[str, LogWindow]]:
    """(training, held-out) windows of each client: strictly before and at or after its own split time."""
    cuts = {c: joined.index.times(c).split(held_out_share) for c in clients}
    return {c: LogWindow(until=cut) for c, cut in cuts.items()}, {c: LogWindow(since=cut) for c, cut in cuts.items()}


def span_of(joined: Joined, client: str, window: LogWindow) -> dict[str, Any]:
    """What a window holds of a client's requests, for a manifest: how many, the first and the last moment (UTC)."""
    times = joined.index.times(client).inside(window)
    if not len(times):
        return {"requests": 0, "from": None, "to": None}
    first, last = (str(np.datetime_as_string(at, "s")) for at in (times.first.min(), times.last.max()))
    return {"requests": len(times), "from": first, "to": last}
