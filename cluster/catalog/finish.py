"""The last part of every build: what stands beside a saved graph in its bundle. For full builds and merges alike."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster.attributes.table import AttributeTable
from cluster.catalog.activity import activity_of
from cluster.catalog.catalog import FORMAT, Catalog
from cluster.catalog.history import History, NewestActions
from cluster.catalog.nodes import NOT_YET, ON_NO_BOARD, Nodes
from cluster.catalog.pins import PinTable, SaveCounts, pin_rows
from cluster.catalog.rates import count_rates
from cluster.catalog.users import UserTable
from cluster.data.cleaning import Tally, now_us
from cluster.data.events import clean_events
from cluster.features.assemble import FeatureSet
from cluster.graph.any_graph import AnyGraph
from cluster.settings.attributes import attribute_kinds
from cluster.settings.project import Project
from cluster.similarity.tables import Similarity
from cluster.store.logs import LogStore

INPUTS = ("edges", "pins", "users", "events")


@dataclass
class Build:
    """One build under way: what of, into which folder, and what it counts of each input on its way."""

    project: Project
    folder: Path
    version: str = ""
    now: int = field(default_factory=now_us)  # microseconds; what lies later is in the future
    before: int | None = None  # microseconds; edges and events from then on are left out
    drops: dict[str, Tally] = field(default_factory=dict)
    logs: LogStore | None = None  # what was served, for rates; None: a build that has no say in serving

    def tally(self, name: str) -> Tally:
        """The counts of one input."""
        return self.drops.setdefault(name, Tally())


def graph_meta(project: Project) -> dict[str, Any]:
    """What the manifest of a graph bundle says beside counts: the features' schema, and shards where there are any."""
    shards = project.graph.shards
    facts = {"schema_hash": FeatureSet.of(project.features).schema_hash}
    return facts if shards == 1 else {**facts, "shards": shards}


def finish_catalog(
    build: Build,
    graph: AnyGraph,
    nodes: Nodes,
    saves: SaveCounts,
    events: Iterable[pa.Table],
    similar: Callable[[History | None], Similarity],
) -> Catalog:
    """Writes similar/, rates/, pins/, attributes/, users/ and catalog.json beside a saved graph/.

    `events`: tables of the events input, not yet cleaned. `similar` measures how alike pins are, given the past.
    """
    project = build.project
    folder = build.folder
    tally = build.tally("events")
    newest = NewestActions(project.features.remembered, graph.pin_ids, tally)
    hides = NewestActions(project.serving.hidden_per_user, graph.pin_ids, Tally(), project.negative_actions)
    for batch in events:
        clean = clean_events(batch, project.actions, build.now, tally, build.before)
        newest.feed(clean)
        hides.feed(clean)
    history = newest.finish()
    similar(history).save(folder / "similar")
    if build.logs is not None:
        until = datetime.fromtimestamp((build.now if build.before is None else build.before) / 1e6, UTC)
        days = project.features.rate_days
        count_rates(build.logs, graph.pin_ids, project.negative_actions, until, days).save(folder / "rates")
    activity = activity_of(history, graph.n_pins, project.features.history_actions)
    PinTable.build(folder / "pins", graph, nodes.vocabulary, project.features, nodes.pins, saves, activity)
    users = UserTable.build(
        folder / "users",
        graph.pin_ids,
        nodes.vocabulary,
        project.features,
        nodes.users,
        history,
        hides.finish(),
    )
    rows = pin_rows(graph.pin_ids, nodes.pins)
    AttributeTable.of(attribute_kinds(project.attributes), nodes.pins, rows).save(folder / "attributes")
    if nodes.pins is not None:
        noted = build.tally("pins").noted
        noted[ON_NO_BOARD] += int((saves.degree == 0).sum())
        if left_out := len(nodes.pins) - int((rows >= 0).sum()):
            noted[NOT_YET] += left_out
    facts = {
        "format": FORMAT,
        "ids": project.ids,
        "actions": project.actions,
        "features": project.features.model_dump(),
        "counts": {"pins": graph.n_pins, "boards": graph.n_boards, "edges": graph.n_edges, "users": len(users)},
        "drops": {name: build.drops[name].as_dict() for name in INPUTS if name in build.drops},
    }
    (folder / "catalog.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    return Catalog.open(folder, build.version)
