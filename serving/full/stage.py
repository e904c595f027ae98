"""The full stage: the multi-task network scores the survivors. `FullLogic` knows nothing of Ray and HTTP."""

import logging
import math
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from cluster.extras import require_torch
from cluster.features.assemble import FeatureSet
from cluster.hashing import hash_ids
from cluster.kinds import FULL
from cluster.settings.clients import Client
from cluster.settings.own_actions import with_weights_of
from cluster.store.bundles import BundleStore
from serving.full.loaded import LoadedRanker
from serving.full.pacing import Pace, Part
from serving.request.arm import ArmSettings
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.catalogs import Catalogs
from serving.request.log_odds import LogOdds, Reasons
from serving.request.per_arm import Derive, PerArm
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from training.ranker.batch import RequestBatch
from training.ranker.columns import columns_of, with_score
from training.ranker.empty import empty_requests
from training.ranker.utility import utility

if TYPE_CHECKING:  # torch: seconds and 200 MB of a process, and only one that scores with a full ranker needs it
    from training.ranker.attribution import Attribution
    from training.ranker.scorer import FullScorer

log = logging.getLogger(__name__)

Request = tuple[WalkAsk, Candidates, Ranked]

EXPLAINED = 25
"""Pins that are explained in one pass: the usual answer."""
TOP = 5
"""Inputs that an explanation names for each action."""


class FullLogic:
    """Probabilities and utility of a request's survivors; without a model both are NaN and the order stays."""

    def __init__(
        self,
        store: BundleStore,
        catalogs: Catalogs,
        clients: dict[str, Client],
        features: FeatureSet,
        pace: Pace | None = None,
        ids: str | None = None,
        derive: Derive | None = None,
    ):
        """`ids` is the project's type of ids; models of the other one are refused. `derive`: as for `PerArm`."""
        self._store = store
        self._catalogs = catalogs
        self._clients = clients
        self._of = PerArm(clients, lambda client: client, derive)
        self._features = features
        self._shared, self._candidate = columns_of(features)
        self._ids = ids
        self.pace = pace or Pace()
        self._loaded: LoadedRanker | None = None
        self._pinned: dict[str, LoadedRanker] = {}  # by version, for arms

    def load(self, version: str) -> None:
        """Open, check and warm a model, then swap the reference; requests under way keep the old one.

        Raises BundleError, and MissingPackageError where there is no torch to compute it with.
        """
        self._loaded = self._opened(version, self.pace)

    def prepare_arm(self, arm: ArmSettings) -> None:
        """Have its model beside the published one, if it pins another. Raises ConfigError and BundleError."""
        self._of.of_arm(arm)
        version = arm.version(FULL)
        if version is not None and version not in self._pinned:
            known = self._loaded
            if known is None or known.version != version:
                known = self._opened(version, Pace(clock=self.pace.clock))
            self._pinned = {**self._pinned, version: known}

    def keep_arms(self, arms: Collection[ArmSettings]) -> None:
        """Forget what only other arms have."""
        self._of.keep({arm.key for arm in arms})
        pinned = {arm.version(FULL) for arm in arms}
        self._pinned = {version: one for version, one in self._pinned.items() if version in pinned}

    def _opened(self, version: str, pace: Pace) -> LoadedRanker:
        require_torch()
        bundle = self._store.open(FULL, version).require_schema(self._features).require_ids(self._ids)
        loaded = LoadedRanker.of(bundle, pace)
        self._warn_of_actions(loaded.scorer.schema.actions)
        return loaded

    def _ranker_for(self, ask: WalkAsk) -> LoadedRanker | None:
        """That which the request's arm pins; the published one where it is not there, which the version tells."""
        version = None if ask.arm is None else ask.arm.version(FULL)
        pinned = None if version is None else self._pinned.get(version)
        return self._loaded if pinned is None else pinned

    def _warn_of_actions(self, predicted: tuple[str, ...]) -> None:
        wanted = {action for client in self._clients.values() for action in client.utility}
        if unknown := sorted(wanted - set(predicted)):
            log.warning(
                "the full ranker does not predict %s, so their utility weights count nothing until it is trained again",
                ", ".join(unknown),
            )

    @property
    def version(self) -> str | None:
        """The version that new requests are scored with."""
        return None if self._loaded is None else self._loaded.version

    def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float = math.inf) -> Scored:
        """Score one request's survivors, as many of them as `seconds` allow, best first."""
        return self.score_many([(ask, candidates, ranked)], [self.pace.clock() + seconds])[0]

    def score_many(self, requests: list[Request], until: list[float] | None = None) -> list[Scored]:
        """Several requests in one forward pass for each version; clients that the gate held back are not scored.

        Survivors that cannot be scored before `until` (the clock of `pace`, one moment a request) keep a NaN utility.
        """
        out = [_unscored(ranked) for _, _, ranked in requests]
        wanted: dict[str, list[int]] = {}
        rankers: dict[str, LoadedRanker] = {}
        for i, (ask, _, ranked) in enumerate(requests):
            ranker = self._ranker_for(ask)
            if ranker is not None and ask.client not in ranker.held_back and len(ranked.survivors):
                rankers[ranker.version] = ranker
                wanted.setdefault(ranker.version, []).append(i)
        for version, rows in wanted.items():
            limits = [math.inf if until is None else until[i] for i in rows]
            actions = rankers[version].scorer.schema.actions
            results = self._passes(rankers[version], [requests[i] for i in rows], limits)
            for i, (probabilities, utilities) in zip(rows, results, strict=True):
                worth = self._worth(requests[i][0], actions)
                weights = tuple(worth.get(action, 0.0) for action in actions)
                out[i] = Scored(version, utilities, probabilities, actions, weights)
        return out

    def _worth(self, ask: WalkAsk, actions: tuple[str, ...]) -> dict[str, float]:
        """The client's utility weights of those actions that the model predicts."""
        return with_weights_of(self._of.of(ask), actions).utility

    def explain(
        self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, version: str, seconds: float = math.inf
    ) -> list[Reasons]:
        """Why the survivors have their probabilities, as many of them, in their order, as can be begun in `seconds`.

        The others' reasons are empty, and there is none at all when the model has been swapped meanwhile.
        """
        until = self.pace.clock() + seconds
        loaded = next(
            (one for one in (self._loaded, self._pinned.get(version)) if one and one.version == version), None
        )
        if loaded is None:
            return []
        scorer, n = loaded.scorer, len(ranked.survivors)
        out: list[Reasons] = [{} for _ in range(n)]
        for start in range(0, n, EXPLAINED):
            if self.pace.clock() >= until:
                break
            end = min(start + EXPLAINED, n)
            found = scorer.explain(self._batch(scorer, ask, candidates, ranked, start, end))
            out[start:end] = [_reasons(found, row, scorer.schema.actions) for row in range(end - start)]
        return out

    def _passes(
        self, ranker: LoadedRanker, requests: list[Request], until: list[float]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each request float32[k, A] probabilities and float32[k] utilities, NaN where time was too short."""
        scorer = ranker.scorer
        actions = scorer.schema.actions
        sizes = [len(ranked.survivors) for _, _, ranked in requests]
        probabilities = [np.full((size, len(actions)), np.nan, np.float32) for size in sizes]
        utilities = [np.full(size, np.nan, np.float32) for size in sizes]

        def run(parts: list[Part]) -> None:
            batches = [self._batch(scorer, *requests[i], start, end) for i, start, end in parts]
            scores = scorer.score(RequestBatch.concat(batches))
            at = 0
            for i, start, end in parts:
                rows = scores[at : at + end - start]
                at += len(rows)
                probabilities[i][start:end] = rows
                utilities[i][start:end] = utility(rows, self._worth(requests[i][0], actions), actions)

        ranker.pace.score(sizes, until, run)
        return list(zip(probabilities, utilities, strict=True))

    def _batch(
        self, scorer: "FullScorer", ask: WalkAsk, candidates: Candidates, ranked: Ranked, start: int, end: int
    ) -> RequestBatch:
        catalog, schema = self._catalogs.get(candidates.graph_version), scorer.schema
        content, survivors = catalog.pins.content, ranked.survivors[start:end]
        batch = empty_requests(schema, requests=1, candidates=len(survivors))
        batch.client[:] = schema.client_index(ask.client)
        batch.shared, batch.shared_category = self._shared.split(ranked.shared[None, :])
        batch.candidates, batch.candidate_category = self._candidate.split(ranked.candidates[survivors])
        if schema.reads_score:
            batch.candidates = with_score(batch.candidates, ranked.scores[survivors])
        batch.candidate_pin[:] = hash_ids(candidates.pin_ids[survivors])
        batch.candidate_vector[:] = content(candidates.pins[survivors], schema.n_topics)
        sequence, length = candidates.sequence, min(len(candidates.sequence.pin_ids), schema.sequence_length)
        if length:
            ids = sequence.pin_ids[:length]
            index = catalog.graph.pin_ids.index_of(ids)
            batch.sequence_pin[0, :length] = hash_ids(ids)
            batch.sequence_action[0, :length] = _codes(sequence.actions[:length], schema.actions)
            batch.sequence_client[0, :length] = _codes(sequence.clients[:length], schema.clients)
            batch.sequence_age[0, :length] = candidates.sequence_age(ask.at)[:length]
            batch.sequence_vector[0, :length] = content(index, schema.n_topics)
        return batch


def _unscored(ranked: Ranked) -> Scored:
    return Scored(
        None, np.full(len(ranked.survivors), np.nan, np.float32), np.empty((len(ranked.survivors), 0), np.float32)
    )


def _reasons(found: "Attribution", row: int, actions: tuple[str, ...]) -> Reasons:
    """The largest contributions to each action of one candidate."""
    out = {}
    whole = zip(actions, found.values[row], found.baseline.tolist(), found.logits[row].tolist(), strict=True)
    for action, values, baseline, log_odds in whole:
        top = np.argsort(-np.abs(values), kind="stable")[:TOP]
        inputs = {found.names[i]: float(values[i]) for i in top}
        out[action] = LogOdds(baseline, inputs, log_odds - baseline - sum(inputs.values()))
    return out


def _codes(values: np.ndarray, known: tuple[str, ...]) -> np.ndarray:
    """1 + index of each value in `known`, 0 when it is not there."""
    code = {name: index + 1 for index, name in enumerate(known)}
    return np.array([code.get(value, 0) for value in values], np.int64)
