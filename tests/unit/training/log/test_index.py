"""What is known of a log's requests equals what reading all their ids into one process gives."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.store.log_parts import EVENT_KEY, each_once, read_part
from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.plain_log import plain_counts, plain_index
from training.log.events import read_events
from training.log.index import RequestIndex, parts_of, read_index
from training.log.moments import Moments
from training.log.tasks import Cut, LogWindow

DAY = [np.datetime64(f"2026-01-0{day}", "us") for day in range(1, 4)]
HOURS = (-2, 30, 40, 0)
"""By how much some events are moved."""
SPANS = [LogWindow(), LogWindow(DAY[1]), LogWindow(None, DAY[1]), LogWindow(DAY[0], DAY[0] + np.timedelta64(13, "h"))]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    """Some rows stand twice in a file, some in two, and a whole file was copied."""
    world = make_world(tmp_path_factory.mktemp("logs"), requests=40, n=20, days=2)
    first, second, *_ = (read_part(path) for path in world.logs.serving_files().paths)
    world.logs.write_serving(pa.concat_tables([first.slice(2, 3), first.slice(4, 2)]), world.features)
    world.logs.write_serving(second, world.features)
    late = read_part(world.logs.event_files().paths[0]).slice(0, 4)
    moved = pa.array(
        [at + timedelta(hours=hours) for at, hours in zip(late["occurred_at"].to_pylist(), HOURS, strict=True)]
    )
    late = late.set_column(3, "occurred_at", moved.cast(late.schema.field("occurred_at").type))
    late = late.set_column(4, "event_id", pa.array(["early", "late", "later", None], pa.string()))
    world.logs.write_events(late)
    return world


def index_of(world: LogsWorld, span: LogWindow) -> RequestIndex:
    return read_index(world.logs.serving_files(), span)


@pytest.mark.parametrize("span", SPANS)
def test_times_and_repeats_are_those_of_all_ids_together(world: LogsWorld, span: LogWindow) -> None:
    index, plain = index_of(world, span), plain_index(world.logs.serving_files(), span)
    assert index.repeated == plain.repeated > 20
    assert index.requests == len(plain.request_id)
    assert index.ends == (plain.requested_at.min(), plain.requested_at.max())
    for client in world.clients:
        expected = Moments.of(plain.times(client))
        np.testing.assert_array_equal(index.times(client).first, expected.first)
        np.testing.assert_array_equal(index.times(client).count, expected.count)


@pytest.mark.parametrize("span", SPANS)
def test_rows_that_are_left_are_each_request_once(world: LogsWorld, span: LogWindow) -> None:
    files = world.logs.serving_files()
    cut = Cut(dict.fromkeys(world.clients, span), index_of(world, span).repeats)
    found = []
    for path in files.paths:
        table = read_part(path)
        for row in range(0, len(table), 7):
            found += cut(table.slice(row, 7), path, row)["request_id"].to_pylist()
    assert found == plain_index(files, span).request_id.to_pylist()


@pytest.mark.parametrize("span", SPANS)
def test_events_are_counted_as_against_all_ids(world: LogsWorld, span: LogWindow) -> None:
    window, actions = timedelta(hours=24), world.project.actions
    paths = world.logs.event_files().paths
    counts, keys, grouped = read_events(paths, "int64", window, actions)
    events, repeated = each_once(map(read_part, paths), EVENT_KEY)
    plain = plain_counts(events, repeated, plain_index(world.logs.serving_files(), span), window, actions)
    counted = counts.met(*index_of(world, span).answered(keys).tolist())
    assert counted == plain
    assert (counted.early and counted.late) or span.since == DAY[1]
    assert counted.events == len(events)
    assert grouped.num_rows > 20


def test_a_part_is_a_client_and_a_date(world: LogsWorld) -> None:
    parts = parts_of(world.logs.serving_files(), LogWindow())
    assert [{(f.date, f.client) for f in part.files} for part in parts] == [
        {(day, client)} for day in ("2026-01-01", "2026-01-02") for client in sorted(world.clients)
    ]


def test_a_request_that_was_served_to_two_clients_under_one_id_is_two(tmp_path: Path) -> None:
    """Repeats are looked for within a client and date, where a row that was written twice must lie."""
    world = make_world(tmp_path, ("homefeed",), requests=6, n=20, days=1)
    table = read_part(world.logs.serving_files().paths[0])
    other = table.set_column(1, "client", pa.repeat("search", len(table)))
    world.logs.write_serving(other, world.features)
    index = read_index(world.logs.serving_files(), LogWindow())
    assert (index.repeated, len(index.times("homefeed")), len(index.times("search"))) == (0, 6, 6)
