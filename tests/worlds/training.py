"""The training pipeline's steps in this process, without Ray: what the unit tests of its parts share."""

from datetime import timedelta

import pyarrow as pa

from cluster.store.log_parts import read_part
from tests.worlds.logs import LogsWorld
from training.lightweight.examples import MakeExamples
from training.lightweight.jobs import FitJob
from training.lightweight.splits import TimeSplit, split_without
from training.lightweight.strategies.registry import resolve
from training.log.arrays import Request, read_requests
from training.log.attribution import group_events
from training.log.index import read_index
from training.log.tasks import Attach, Cut, LogWindow


def joined_table(world: LogsWorld, client: str, window: LogWindow | None = None) -> pa.Table:
    """All columns of one client's requests, with their action matrix."""
    events, _ = world.logs.read_events()
    grouped = group_events(events, world.project.actions)
    attach = Attach(world.project.actions, timedelta(hours=world.project.attribution_hours))
    cut = Cut({client: window or LogWindow()}, {})
    parts = []
    for path in world.logs.serving_files(client).paths:
        parts.append(attach.attach(cut(read_part(path), path), grouped))
    return pa.concat_tables(parts)


def requests(world: LogsWorld, client: str, window: LogWindow | None = None) -> list[Request]:
    """The same, as arrays."""
    return list(read_requests(joined_table(world, client, window)))


def split(world: LogsWorld, client: str, held_out: float = 0.25) -> tuple[LogWindow, LogWindow]:
    """(training, held-out) windows of one client."""
    cut = read_index(world.logs.serving_files(client), LogWindow()).times(client).split(held_out)
    return LogWindow(until=cut), LogWindow(since=cut)


def examples(world: LogsWorld, client: str, window: LogWindow) -> pa.Table:
    """Labelled examples of one client."""
    rule = resolve(world.clients[client].labels, world.project.actions, world.project.negative_actions)
    make = MakeExamples((client,), (rule,), world.features.candidate.index("cross_locale_match"))
    return make(joined_table(world, client, window))


def time_split(world: LogsWorld, client: str, window: LogWindow, valid_share: float = 0.2) -> TimeSplit:
    """The roles of one client's requests in a window."""
    times = read_index(world.logs.serving_files(client), LogWindow()).times(client)
    return split_without(times.inside(window), (), valid_share)


def fit_job(
    world: LogsWorld,
    client: str,
    window: LogWindow,
    objective: str = "binary:logistic",
    objective_setting: str = "auto",
    **settings: object,
) -> FitJob:
    """The fit of one client's requests in a window; its blocks are given to `fit_one`."""
    trees = world.project.gbdt.model_copy(update={**settings, "objective": objective_setting})
    return FitJob(client, 0, world.features.names, objective, 0, [], time_split(world, client, window), trees)
