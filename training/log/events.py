"""Events of a time read for a join: grouped by request, counted, and their keys to count them against requests."""

from collections.abc import Sequence
from datetime import timedelta

import pyarrow as pa

from cluster.data.schema import event_schema
from cluster.store.log_parts import EVENT_KEY, each_once, whole_parts
from training.log.attribution import EventCounts, EventKeys, count_events, group_events, keys_of


def read_events(
    paths: Sequence[str], ids: str, window: timedelta, actions: Sequence[str]
) -> tuple[EventCounts, EventKeys, pa.Table]:
    """Counts that know of no request yet, keys, and the `group_events` of the events in some files."""
    events, repeated = each_once(whole_parts(paths), EVENT_KEY)
    if not events.num_rows:
        events = event_schema(ids).empty_table()
    return count_events(events, repeated, actions), keys_of(events, window, actions), group_events(events, actions)
