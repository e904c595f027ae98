"""The stage logic of one process, opened from a project: what notebooks, backfill and every deployment share."""

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property, partial

from cluster import kinds
from cluster.control.removals import Removals
from cluster.errors import ConfigError
from cluster.experiments.register import Register
from cluster.features.assemble import FeatureSet
from cluster.fresh.log import FreshLog
from cluster.settings.clients import Client
from cluster.store.bundles import BundleStore
from cluster.store.damage import opening
from cluster.store.home import bundles_root, control_root
from serving.candidates.stage import CandidatesLogic
from serving.deploy.event_parts import EventParts
from serving.deploy.follow_arms import ArmFollower, ArmLogic, ArmParts
from serving.deploy.freshen import Freshener
from serving.deploy.watch import Looks, Watcher
from serving.experiments.arms import Arms
from serving.experiments.checks import check_pinned
from serving.full.stage import FullLogic
from serving.funnel.funnel import Funnel
from serving.funnel.runner import StageObserver
from serving.funnel.stages import DirectStages, InPlaceStages, Stages
from serving.funnel.teacher import Teacher
from serving.lightweight.stage import LightweightLogic
from serving.logs.impressions import ServingLog
from serving.policy.checks import check_clients
from serving.policy.withheld import Withheld
from serving.request.arm import ArmSettings
from serving.request.catalogs import Catalogs, FreshPins
from training.quotas.learned import LearnedQuotas


@dataclass
class Process(EventParts):
    """Opens each part once, when it is first asked for."""

    clients: dict[str, Client]
    parts: Collection[int] | None = None
    """Parts of the graph whose edges are read here in compiled code; None: all."""
    narrow: Callable[[Client], Client] | None = None
    """What this process has of a client; None: all of it."""

    def __post_init__(self) -> None:
        check_clients(self.clients, self.project.features)
        self._whole = self.clients
        if self.narrow is not None:
            self.clients = {name: self.narrow(client) for name, client in self.clients.items()}

    def derive(self, arm: ArmSettings) -> Client:
        """What this process has of a client as an arm has it. Raises ConfigError where it does not fit."""
        client = arm.applied_to(self._whole[arm.client])
        return client if self.narrow is None else self.narrow(client)

    @cached_property
    def arms(self) -> Arms:
        """The experiments that requests may be in; a watcher follows them."""
        return Arms()

    @cached_property
    def experiments(self) -> Register:
        """Which experiments run."""
        return Register(control_root(self.project.home, self.project.control))

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
    def sources(self) -> CandidatesLogic:
        """The candidate stage: all sources of all clients."""
        withheld = Withheld(self.removals)
        length = self.project.features.sequence_length
        return CandidatesLogic(self.catalogs, self.clients, length, withheld, self.derive)

    @cached_property
    def lightweight(self) -> LightweightLogic:
        """The lightweight stage."""
        negative = self.project.negative_actions
        return LightweightLogic(self.store, self.catalogs, self.clients, self.features, negative, self.derive)

    @cached_property
    def full(self) -> FullLogic:
        """The full stage."""
        ids = self.project.ids
        return FullLogic(self.store, self.catalogs, self.clients, self.features, ids=ids, derive=self.derive)

    @cached_property
    def funnel(self) -> Funnel:
        """All stages in this process, called in place and without a deadline: `funnel.recommend_now(ask)`.

        No request is in an experiment: what happened in the past is replayed here, and models are compared.
        """
        return self._direct_funnel(None)

    @cached_property
    def live_funnel(self) -> Funnel:
        """The same for answers that people get: requests are in experiments as with a server."""
        return self._direct_funnel(self.arms)

    def _direct_funnel(self, arms: Arms | None) -> Funnel:
        stages = DirectStages(self.sources, self.lightweight, self.full)
        endless = math.inf
        return Funnel(stages, self.sources, self.clients, deadline_ms=endless, teacher=self.teacher, arms=arms)

    def served_funnel(self, stages: Stages | None = None, observer: StageObserver | None = None) -> Funnel:
        """A new funnel for a server, within the project's deadline; in this process, or over other `stages`."""
        stages = stages or InPlaceStages(self.sources, self.lightweight, self.full)
        settings = self.project.serving
        within = (settings.deadline_ms, self.teacher, settings.candidates_share)
        return Funnel(stages, self.sources, self.clients, *within, observer, self.arms)

    @cached_property
    def teacher(self) -> Teacher:
        """How much of a server's traffic the full ranker also scores for its student."""
        return Teacher(self.project.serving.teacher_share, self.project.serving.teacher_candidates)

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

    def watcher(
        self, *stages: str, clock: Callable[[], float] = time.monotonic, elsewhere: Collection[str] = ()
    ) -> Watcher:
        """A watcher that hot-swaps the bundles of the named stages (default: all), and follows the experiments.

        `sources` makes all sources ready for a graph. `mix` and `graph` have it verified and mapped, for a process that
        runs no source, before a request names it; those of `mix` run `elsewhere`.
        """
        loaders: dict[str, Callable[[str], None]] = {}
        behind: list[Looks] = []
        every = self.project.fresh.seconds
        if "mix" in stages or "graph" in stages:
            loaders[kinds.GRAPH] = self.catalogs.load
            behind = [Freshener(self.catalogs, self.catalogs.serve, every, clock)]
        if not stages or "sources" in stages:
            loaders[kinds.GRAPH] = self.sources.load
            behind = [Freshener(self.catalogs, self.sources.serve, every, clock)]
        if not stages or "mix" in stages:
            learned = [name for name, client in self.clients.items() if client.allotment.learned]
            loaders |= {kinds.quotas(name): partial(self._load_quotas, name) for name in learned}
        if not stages or "lightweight" in stages:
            loaders |= {kinds.lightweight(name): partial(self.lightweight.load, name) for name in self.clients}
        if not stages or "full" in stages:
            loaders[kinds.FULL] = self.full.load
        behind.append(ArmFollower(self.experiments, self._arm_parts(stages, elsewhere), self.arms, clock))
        return Watcher(self.store, loaders, self.project.serving.poll_seconds, clock, behind)

    def _arm_parts(self, stages: Collection[str], elsewhere: Collection[str]) -> ArmParts:
        """What this process has to have ready for an arm."""
        logics: list[ArmLogic] = []
        if not stages or {"sources", "mix"} & set(stages):
            logics.append(self.sources)
        if not stages or "lightweight" in stages:
            logics.append(self.lightweight)
        if not stages or "full" in stages:
            logics.append(self.full)
        checks = [self._check_arm]
        if "mix" in stages:
            checks.append(partial(self._check_elsewhere, frozenset(elsewhere)))
        return ArmParts([*checks, *(logic.prepare_arm for logic in logics)], [logic.keep_arms for logic in logics])

    def _check_arm(self, arm: ArmSettings) -> None:
        check_clients({arm.client: self.derive(arm)}, self.project.features)

    def _check_elsewhere(self, running: frozenset[str], arm: ArmSettings) -> None:
        """What other processes will be asked for."""
        if lacking := sorted(set(self.derive(arm).sources) - running):
            raise ConfigError(f"no process runs the source {lacking[0]!r}: deploy again while the experiment is there")
        for kind, version in arm.versions:
            check_pinned(self.store, kind, version, self.project)

    def _load_quotas(self, client: str, version: str) -> None:
        bundle = self.store.open(kinds.quotas(client), version)
        with opening(f"quotas {bundle.path}", "learn them again"):
            self.sources.load_quotas(client, LearnedQuotas.open(bundle.path))
