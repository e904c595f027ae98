"""History replayed through the funnel: at each past moment, what was known then proposes candidates with features.

For users who have interactions but no serving log yet. Time is cut into slices; before each slice the graph is built
from the edges and events up to then; within it a user's newer actions are known to the walk, as live ones are when
serving.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property, partial

import numpy as np
import pyarrow as pa

from apps.backfill.history import PastEvents, in_order
from apps.backfill.moment import Replayed, ReplayPlan, replay_moment
from apps.backfill.shown import KnownPast, PastImpressions
from apps.project import Opened
from cluster.catalog.build import Tables, build_catalog_in_memory, known_topics
from cluster.catalog.finish import graph_meta
from cluster.data.cleaning import Tally, now_us
from cluster.data.events import clean_events
from cluster.data.impressions import clean_impressions
from cluster.data.inputs import open_inputs
from cluster.errors import DataError
from cluster.kinds import GRAPH
from cluster.progress import Progress, silent
from cluster.store.bundles import note_meta
from serving.deploy.process import Process


@dataclass(frozen=True)
class Slice:
    """A span of time that one graph serves: that of what was known when it begins."""

    begin: int  # microseconds
    rows: np.ndarray  # int64, the moments, as rows of the history or numbers of past requests, in order of time


class Replay:
    """Reads a project's inputs once and replays any span of them for one client."""

    def __init__(self, opened: Opened):
        inputs = open_inputs(opened.project)
        if "events" not in inputs:
            raise DataError("backfill needs past interactions: set data.events in pinfunnel.yaml")
        if not inputs["edges"].has("saved_at"):
            raise DataError("backfill needs to know when edges were made: map data.edges.columns.saved_at")
        self.opened = opened
        self.process: Process = opened.new_process()
        self._tables = Tables.read(inputs)
        self._impressions = inputs["impressions"].read() if "impressions" in inputs else None
        assert self._tables.events is not None
        tally, now = Tally(), now_us()
        clean = clean_events(self._tables.events, opened.project.actions, now, tally)
        if not len(clean):
            raise DataError(f"events: none is usable: {dict(tally.dropped)}")
        events = in_order(clean)
        self.history = PastEvents.of(events)
        self.moments = np.sort(self.history.at)
        self.dropped = Tally()  # of the impressions
        self.past = KnownPast(self.history, self._shown(events, now))

    def _shown(self, events: pa.Table, now: int) -> PastImpressions | None:
        """What an earlier system showed, where the project has it; `events` in the order of the history."""
        if self._impressions is None:
            return None
        clean = clean_impressions(self._impressions, now, self.dropped)
        if not len(clean):
            raise DataError(f"impressions: none is usable: {dict(self.dropped.dropped)}")
        return PastImpressions.of(clean, events, self.history, self.opened.project.attribution_hours)

    @cached_property
    def digest(self) -> str:
        """Of the inputs that were read: another one when any value of them has changed."""
        sink = hashlib.blake2b(digest_size=12)
        tables = {part.name: getattr(self._tables, part.name) for part in fields(self._tables)}
        for name, table in (*tables.items(), ("impressions", self._impressions)):
            sink.update(name.encode())
            for batch in [] if table is None else table.combine_chunks().to_batches():
                sink.update(batch.serialize())
        return sink.hexdigest()

    def moment(self, share: float) -> datetime:
        """The time before which `share` of all events happened."""
        at = self.moments[min(int(share * len(self.moments)), len(self.moments) - 1)]
        return datetime.fromtimestamp(int(at) / 1e6, UTC)

    def slices(self, plan: ReplayPlan) -> list[Slice]:
        """The slices of a plan over what users did, oldest first. Raises DataError when no event lies in its span."""
        return self._cut(plan, self.moments, "event", partial(self.history.moments, every=plan.every))

    def slices_of(self, client: str, plan: ReplayPlan) -> list[Slice]:
        """As `slices`; over what the client showed, where that is known."""
        shown = self.past.shown
        if shown is None or not self.past.showed(client):
            return self.slices(plan)
        moments = np.sort(shown.at[shown.of_client(client)])
        return self._cut(plan, moments, "impression", partial(shown.moments, client))

    def before_span(self, client: str, plan: ReplayPlan) -> int:
        """How many requests of the client are known that lie before all that is replayed."""
        shown = self.past.shown
        return 0 if shown is None else int((shown.at[shown.of_client(client)] < self._begin(plan)).sum())

    def _begin(self, plan: ReplayPlan) -> int:
        """Where the span of a plan begins, microseconds: as it says, else when a fifth of all events has happened."""
        return int((plan.since or self.moment(0.2)).timestamp() * 1e6)

    def _cut(
        self, plan: ReplayPlan, moments: np.ndarray, what: str, rows: Callable[[int, int], np.ndarray]
    ) -> list[Slice]:
        """Slices with equal shares of sorted `moments`, int64; `rows` picks from a span of them."""
        begin = self._begin(plan)
        end = int(plan.until.timestamp() * 1e6) if plan.until else int(moments[-1]) + 1
        inside = moments[(moments >= begin) & (moments < end)]
        if not len(inside):
            raise DataError(f"backfill: no {what} lies in the span asked for")
        cuts = np.unique([inside[0], *(inside[len(inside) * i // plan.graphs] for i in range(1, plan.graphs)), end])
        spans = zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
        return [Slice(low, rows(low, high)) for low, high in spans]

    def run(self, client: str, plan: ReplayPlan, progress: Progress = silent) -> Iterator[Replayed]:
        """Every replayed moment in order of time, in this process. Each slice's graph is stored, never published."""
        slices = self.slices(plan)
        for number, part in enumerate(slices):
            progress("replay history", number / len(slices))
            self.process.sources.load(self.build(part.begin))
            for row in part.rows:
                moment = replay_moment(self.process, self.history, client, plan, part.begin, int(row))
                if moment is not None:
                    yield moment
        progress("replay history", 1.0)

    def build(self, before: int) -> str:
        """Store the graph of what was known at `before` (microseconds), and return its version."""
        project = self.opened.project
        moment = datetime.fromtimestamp(before / 1e6, UTC)
        meta = {**graph_meta(project), "edges_before": moment.isoformat()}
        with self.process.store.write(GRAPH, meta, publish=False) as (folder, version):
            topics = known_topics(self.process.store)
            logs = self.process.logs
            catalog = build_catalog_in_memory(self._tables, project, folder, moment, version, topics, logs)
            note_meta(folder, counts=catalog.counts)
        return version
