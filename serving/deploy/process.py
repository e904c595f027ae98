"""The stage logic of one process, opened from a project: what notebooks, backfill and every deployment share."""

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path

from cluster import kinds
from cluster.contract.moments import MomentContract
from cluster.control.choices import Choices
from cluster.control.forgotten import Forgotten
from cluster.control.removals import Removals
from cluster.features.assemble import FeatureSet
from cluster.fresh.log import FreshLog
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from cluster.store.damage import opening
from cluster.store.home import bundles_root, control_root, logs_of
from cluster.store.logs import LogStore
from cluster.store.pseudonyms import Pseudonyms, pseudonyms_of
from cluster.store.quarantine import Quarantine
from serving.candidates.stage import CandidatesLogic
from serving.deploy.freshen import Freshener
from serving.deploy.watch import Watcher
from serving.full.stage import FullLogic
from serving.funnel.funnel import Funnel
from serving.funnel.runner import StageObserver
from serving.funnel.stages import DirectStages, InPlaceStages, Stages
from serving.funnel.teacher import Teacher
from serving.lightweight.stage import LightweightLogic
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.impressions import ServingLog
from serving.logs.kafka_feed import KafkaFeed
from serving.logs.kafka_sink import KafkaSink
from serving.logs.redis_reader import RedisStateReader
from serving.logs.redis_writer import RedisStateWriter
from serving.logs.shard import WHOLE, Shard, shards_of
from serving.logs.sink import EventSink
from serving.logs.state_folder import StateReader, machine_folder
from serving.logs.user_state import UserStates
from serving.logs.writer_folder import WriterFolder
from serving.policy.checks import check_clients
from serving.policy.withheld import Withheld
from serving.request.catalogs import Catalogs, FreshPins
from training.quotas.table import QuotaTable


@dataclass
class Process:
    """Opens each part once, when it is first asked for."""

    project: Project
    clients: dict[str, Client]
    parts: Collection[int] | None = None
    """Parts of the graph whose edges are read here in compiled code; None: all."""

    def __post_init__(self) -> None:
        check_clients(self.clients, self.project.features)

    @cached_property
    def features(self) -> FeatureSet:
        """The features of the project."""
        return FeatureSet.of(self.project.features)

    @cached_property
    def store(self) -> BundleStore:
        """The project's bundles."""
        return BundleStore(bundles_root(self.project.home))

    @cached_property
    def fresh_log(self) -> FreshLog:
        """Pins and saves since the graph was built."""
        return FreshLog(self.project)

    @cached_property
    def catalogs(self) -> Catalogs:
        """The graph versions that this process has mapped."""
        fresh = FreshPins(self.fresh_log, self.project.fresh)
        wanted = (self.project.ids, self.project.graph.shards, self.parts)
        return Catalogs(self.store, self.features, *wanted, fresh, self.forgotten)

    @cached_property
    def removals(self) -> Removals:
        """Pins and boards that were taken down."""
        return Removals(control_root(self.project.home, self.project.control))

    @cached_property
    def forgotten(self) -> Forgotten:
        """Who was forgotten."""
        return Forgotten(control_root(self.project.home, self.project.control))

    @cached_property
    def sources(self) -> CandidatesLogic:
        """The candidate stage: all sources of all clients."""
        withheld = Withheld(self.removals)
        return CandidatesLogic(self.catalogs, self.clients, self.project.features.sequence_length, withheld)

    @cached_property
    def lightweight(self) -> LightweightLogic:
        """The lightweight stage."""
        negative = self.project.negative_actions
        return LightweightLogic(self.store, self.catalogs, self.clients, self.features, negative)

    @cached_property
    def full(self) -> FullLogic:
        """The full stage."""
        return FullLogic(self.store, self.catalogs, self.clients, self.features, ids=self.project.ids)

    @cached_property
    def funnel(self) -> Funnel:
        """All stages in this process, called in place and without a deadline: `funnel.recommend_now(ask)`."""
        stages = DirectStages(self.sources, self.lightweight, self.full)
        return Funnel(stages, self.sources, self.clients, deadline_ms=math.inf, teacher=self.teacher)

    def served_funnel(self, stages: Stages | None = None, observer: StageObserver | None = None) -> Funnel:
        """A new funnel for a server, within the project's deadline; in this process, or over other `stages`."""
        stages = stages or InPlaceStages(self.sources, self.lightweight, self.full)
        settings = self.project.serving
        share = settings.candidates_share
        return Funnel(stages, self.sources, self.clients, settings.deadline_ms, self.teacher, share, observer)

    @cached_property
    def teacher(self) -> Teacher:
        """How much of a server's traffic the full ranker also scores for its student."""
        return Teacher(self.project.serving.teacher_share, self.project.serving.teacher_candidates)

    @cached_property
    def logs(self) -> LogStore:
        """The project's logs."""
        return logs_of(self.project, self.project.ids)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """What the logs call users. Raises ConfigError."""
        return pseudonyms_of(self.project.ids, self.project.logs.pseudonym_key_env, self.logs.root)

    def serving_log(self, seconds: float | None = None) -> ServingLog:
        """A new serving log that writes to the project's logs every `seconds`; by default as the project says."""
        settings = self.project.serving
        return ServingLog(
            self.logs,
            self.project.ids,
            self.features,
            settings.log_queue_rows,
            settings.log_flush_seconds if seconds is None else seconds,
            self.forgotten,
        )

    @property
    def shards(self) -> list[Shard]:
        """Which users each writer of the event log has."""
        return shards_of(self.project.events.writers)

    def state_root(self, shard: Shard = WHOLE) -> Path:
        """Where this machine's processes share what is known of the shard's users."""
        return machine_folder(self.logs.root, shard)

    def state_reader(self, shard: Shard = WHOLE) -> StateReader:
        """A look at what the process with the shard's event log knows of users."""
        remember, hidden = self.project.features.remembered, self.project.serving.hidden_per_user
        return StateReader(self.state_root(shard), remember, hidden)

    @cached_property
    def event_contract(self) -> EventContract:
        """What an event of the project must be like."""
        settings = self.project.serving
        window = MomentContract(timedelta(days=settings.event_days), live=not settings.simulation)
        return EventContract.of(self.project.ids, self.project.actions, window)

    def event_log(self, patience: float = 0.0, state: Path | None = None, shard: Shard = WHOLE) -> EventLog:
        """The durable event log of a shard, which keeps users' state in a new folder `state` or in memory.

        Raises ConfigError when another process holds it after `patience` seconds.
        """
        return EventLog(
            WriterFolder(self.logs, shard, Path(self.project.local_home), self.project.ids, patience),
            self.logs,
            self.event_contract,
            UserStates(
                self.project.negative_actions,
                remember=self.project.features.remembered,
                hidden=self.project.serving.hidden_per_user,
                folder=state,
            ),
            shard,
            self.forgotten,
        )

    def kafka_feed(self, events: EventLog, shard: Shard) -> KafkaFeed | None:
        """Reads the project's topic into a shard's event log, where there is one. Raises ConfigError."""
        settings = self.project.events.kafka
        if settings is None:
            return None
        quarantine = Quarantine(self.logs.root / "quarantine", "kafka")
        choices = Choices(control_root(self.project.home, self.project.control))
        return KafkaFeed(settings, events, self.event_contract, quarantine, shard, choices.may_store, self.pseudonyms)

    def redis_writer(self, events: EventLog, shard: Shard) -> RedisStateWriter | None:
        """Writes the state of a shard's users to the project's Redis, where there is one. Raises ConfigError."""
        settings = self.project.events.state.redis
        if settings is None:
            return None
        writer = RedisStateWriter(settings, shard, events.state, self.forgotten.before)
        events.tell(writer.changed)
        return writer

    def redis_reader(self) -> RedisStateReader | None:
        """Reads any user's state from the project's Redis, where there is one. Raises ConfigError."""
        settings = self.project.events
        return None if settings.state.redis is None else RedisStateReader(settings.state.redis, settings.writers)

    def sink_before_the_log(self) -> EventSink | None:
        """What takes events in place of the event log, where the project says so. Raises ConfigError."""
        settings = self.project.events
        return KafkaSink(settings.kafka) if settings.sink == "kafka" and settings.kafka is not None else None

    def watcher(self, *stages: str, clock: Callable[[], float] = time.monotonic) -> Watcher:
        """A watcher that hot-swaps the bundles of the named stages (default: all).

        `sources` makes all sources ready for a graph. `mix` and `graph` have it verified and mapped, for a process that
        runs no source, before a request names it.
        """
        loaders: dict[str, Callable[[str], None]] = {}
        fresh: Freshener | None = None
        every = self.project.fresh.seconds
        if "mix" in stages or "graph" in stages:
            loaders[kinds.GRAPH] = self.catalogs.load
            fresh = Freshener(self.catalogs, self.catalogs.serve, every, clock)
        if not stages or "sources" in stages:
            loaders[kinds.GRAPH] = self.sources.load
            fresh = Freshener(self.catalogs, self.sources.serve, every, clock)
        if not stages or "mix" in stages:
            learned = [name for name, client in self.clients.items() if client.allotment.learned]
            loaders |= {kinds.quotas(name): partial(self._load_quotas, name) for name in learned}
        if not stages or "lightweight" in stages:
            loaders |= {kinds.lightweight(name): partial(self.lightweight.load, name) for name in self.clients}
        if not stages or "full" in stages:
            loaders[kinds.FULL] = self.full.load
        return Watcher(self.store, loaders, self.project.serving.poll_seconds, clock, fresh)

    def _load_quotas(self, client: str, version: str) -> None:
        bundle = self.store.open(kinds.quotas(client), version)
        with opening(f"quotas {bundle.path}", "learn them again"):
            self.sources.load_quotas(client, QuotaTable.open(bundle.path))
