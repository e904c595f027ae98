"""Each source of candidates, and all together, on replayed, held-out time: asked with what was known then."""

import math
import time

import numpy as np

from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.project import Opened
from apps.reports.stages_protocol import positive_actions
from apps.reports.stages_segments import Segments, few_locales
from cluster.errors import ConfigError
from cluster.progress import Progress, silent
from cluster.settings.clients import SourceSettings
from serving.candidates.stage import CandidatesLogic
from serving.request.ask import WalkAsk
from serving.request.deadline import Deadline
from training.report.sources import SourceFindings


def with_sources(opened: Opened, client: str, names: tuple[str, ...], budget: int) -> Opened:
    """The project with a client that asks these sources for `budget` pins each: its own, or such as ship."""
    mine = opened.clients[client]
    known = {name: mine.sources.get(name, SourceSettings()) for name in names or tuple(mine.sources)}
    sources = {name: source.model_copy(update={"quota": budget}) for name, source in known.items()}
    if not sources:
        raise ConfigError(f"client {client}: no source to look at")
    clients = {**opened.clients, client: mine.model_copy(update={"sources": sources})}
    return Opened(opened.project, clients)


def evaluate_sources(
    replay: Replay,
    client: str,
    plan: ReplayPlan,
    budget: int = 500,
    segments: Segments | None = None,
    progress: Progress = silent,
) -> SourceFindings:
    """Past requests of the client, each put to every source. Wanted: pins that the user next acted on positively."""
    good = positive_actions(replay.opened, client)
    parts_of = segments or Segments()
    names = tuple(replay.opened.clients[client].sources)
    findings = SourceFindings(names)
    stage = replay.process.sources
    parts: list[tuple[str, ...]] = []
    for moment in replay.run(client, plan, progress):
        wanted = np.unique(moment.next_pins[np.isin(moment.next_actions.astype(str), good)])
        if not len(wanted):
            continue
        ask = moment.answer.ask
        version = moment.answer.candidates.graph_version
        catalog = replay.process.catalogs.get(version)
        index = catalog.graph.pin_ids.index_of(wanted)
        found, milliseconds = ask_each(stage, ask, version, names, budget)
        # what the graph of that time does not have, no source can find: it counts as missed
        pins = np.where(index >= 0, index, -1 - np.arange(len(index)))
        findings.add(ask.user_id, pins, found, milliseconds)
        for part, rows in parts_of.parts_of_pins(catalog, wanted).items():
            findings.narrow(part, ask.user_id, pins[rows], found, milliseconds)
        parts.append(parts_of.of(catalog, moment))
    findings.parts = few_locales(parts)
    return findings


def ask_each(
    stage: CandidatesLogic, ask: WalkAsk, version: str, names: tuple[str, ...], budget: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What each source finds, as pin indices without what the request may not be answered with, and its time."""
    query = stage.query(ask, version)
    found: dict[str, np.ndarray] = {}
    milliseconds: dict[str, float] = {}
    for name in names:
        began = time.perf_counter()
        pins = stage.generate(name, query, budget, Deadline(math.inf)).pins
        milliseconds[name] = 1e3 * (time.perf_counter() - began)
        found[name] = pins[query.keeps(pins)].astype(np.int64)
    return found, milliseconds
