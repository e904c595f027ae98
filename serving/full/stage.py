"""The full stage: the multi-task network scores the survivors. `FullLogic` knows nothing of Ray and HTTP."""

import logging
import math
from typing import TYPE_CHECKING

import numpy as np

from cluster.features.assemble import FeatureSet
from cluster.hashing import hash_ids
from cluster.kinds import FULL
from cluster.settings.clients import Client
from cluster.settings.own_actions import with_weights_of
from cluster.store.bundles import BundleStore
from serving.full.pacing import Pace, Part
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.catalogs import Catalogs
from serving.request.log_odds import LogOdds, Reasons
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
    ):
        """`ids` is the project's type of ids; a model that was trained on the other one is refused."""
        self._store = store
        self._catalogs = catalogs
        self._clients = clients
        self._features = features
        self._shared, self._candidate = columns_of(features)
        self._ids = ids
        self.pace = pace or Pace()
        self._loaded: tuple[str, FullScorer, frozenset[str]] | None = None

    def load(self, version: str) -> None:
        """Open, check and warm a model, then swap the reference; requests under way keep the old one."""
        from training.ranker.scorer import FullScorer, best_device

        bundle = self._store.open(FULL, version).require_schema(self._features).require_ids(self._ids)
        scorer = FullScorer.open(bundle.path, best_device())
        self._warn_of_actions(scorer.schema.actions)
        scorer.warm()
        began = self.pace.clock()
        self.pace.learn(scorer.warm(), self.pace.clock() - began)
        self._loaded = (bundle.version, scorer, frozenset(bundle.meta.get("held_back", ())))

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
        return None if self._loaded is None else self._loaded[0]

    def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float = math.inf) -> Scored:
        """Score one request's survivors, as many of them as `seconds` allow, best first."""
        return self.score_many([(ask, candidates, ranked)], [self.pace.clock() + seconds])[0]

    def score_many(self, requests: list[Request], until: list[float] | None = None) -> list[Scored]:
        """Several requests in one forward pass, all of one version; clients that the gate held back are not scored.

        Survivors that cannot be scored before `until` (the clock of `pace`, one moment a request) keep a NaN utility.
        """
        loaded = self._loaded
        out = [_unscored(ranked) for _, _, ranked in requests]
        if loaded is None:
            return out
        version, scorer, held_back = loaded
        wanted = [i for i, request in enumerate(requests) if request[0].client not in held_back]
        wanted = [i for i in wanted if len(requests[i][2].survivors)]
        if not wanted:
            return out
        limits = [math.inf if until is None else until[i] for i in wanted]
        results = self._passes(scorer, [requests[i] for i in wanted], limits)
        for i, (probabilities, utilities) in zip(wanted, results, strict=True):
            worth = self._worth(requests[i][0].client, scorer.schema.actions)
            weights = tuple(worth.get(action, 0.0) for action in scorer.schema.actions)
            out[i] = Scored(version, utilities, probabilities, scorer.schema.actions, weights)
        return out

    def _worth(self, client: str, actions: tuple[str, ...]) -> dict[str, float]:
        """The client's utility weights of those actions that the model predicts."""
        return with_weights_of(self._clients[client], actions).utility

    def explain(
        self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, version: str, seconds: float = math.inf
    ) -> list[Reasons]:
        """Why the survivors have their probabilities, as many of them, in their order, as can be begun in `seconds`.

        The others' reasons are empty, and there is none at all when the model has been swapped meanwhile.
        """
        loaded, until = self._loaded, self.pace.clock() + seconds
        if loaded is None or loaded[0] != version:
            return []
        scorer, n = loaded[1], len(ranked.survivors)
        out: list[Reasons] = [{} for _ in range(n)]
        for start in range(0, n, EXPLAINED):
            if self.pace.clock() >= until:
                break
            end = min(start + EXPLAINED, n)
            found = scorer.explain(self._batch(scorer, ask, candidates, ranked, start, end))
            out[start:end] = [_reasons(found, row, scorer.schema.actions) for row in range(end - start)]
        return out

    def _passes(
        self, scorer: "FullScorer", requests: list[Request], until: list[float]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each request float32[k, A] probabilities and float32[k] utilities, NaN where time was too short."""
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
                utilities[i][start:end] = utility(rows, self._worth(requests[i][0].client, actions), actions)

        self.pace.score(sizes, until, run)
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
