"""The full stage: the multi-task network scores the survivors. `FullLogic` knows nothing of Ray and HTTP."""

import numpy as np

from cluster.clients import Client
from cluster.features import FeatureSet
from cluster.hashing import hash_ids
from cluster.storage import BundleStore
from serving.catalogs import Catalogs
from serving.messages import Ranked, Scored, WalkAsk, Walked
from training.ranker.batch import RequestBatch
from training.ranker.columns import columns_of
from training.ranker.scorer import FullScorer, empty_requests, utility

KIND = "full"


class FullLogic:
    """Probabilities and utility of a request's survivors; without a model both are NaN and the order stays."""

    def __init__(self, store: BundleStore, catalogs: Catalogs, clients: dict[str, Client], features: FeatureSet):
        self._store, self._catalogs, self._clients, self._schema_hash = store, catalogs, clients, features.schema_hash
        self._shared, self._candidate = columns_of(features)
        self._loaded: tuple[str, FullScorer, frozenset[str]] | None = None

    def load(self, version: str) -> None:
        """Open, check and warm a model, then swap the reference; requests under way keep the old one."""
        bundle = self._store.open(KIND, version).require_schema(self._schema_hash)
        scorer = FullScorer.open(bundle.path)
        scorer.warm()
        self._loaded = (bundle.version, scorer, frozenset(bundle.meta.get("held_back", ())))

    @property
    def version(self) -> str | None:
        """The version that new requests are scored with."""
        return None if self._loaded is None else self._loaded[0]

    def score(self, ask: WalkAsk, walked: Walked, ranked: Ranked) -> Scored:
        """Score one request's survivors."""
        return self.score_many([(ask, walked, ranked)])[0]

    def score_many(self, requests: list[tuple[WalkAsk, Walked, Ranked]]) -> list[Scored]:
        """Several requests in one forward pass, all of one version; clients that the gate held back are not scored."""
        loaded = self._loaded
        out = [_unscored(ranked) for _, _, ranked in requests]
        if loaded is None:
            return out
        version, scorer, held_back = loaded
        mine = [
            i for i, (ask, _, ranked) in enumerate(requests) if ask.client not in held_back and len(ranked.survivors)
        ]
        if not mine:
            return out
        probabilities = scorer.score(RequestBatch.concat([self._batch(scorer, *requests[i]) for i in mine]))
        at = 0
        for i in mine:
            ask, _, ranked = requests[i]
            rows = probabilities[at : at + len(ranked.survivors)]
            at += len(rows)
            value = utility(rows, self._clients[ask.client].utility, scorer.schema.actions)
            out[i] = Scored(version, value.astype(np.float32), rows)
        return out

    def _batch(self, scorer: FullScorer, ask: WalkAsk, walked: Walked, ranked: Ranked) -> RequestBatch:
        catalog, schema = self._catalogs.get(walked.graph_version), scorer.schema
        topics = catalog.pins.topics
        batch = empty_requests(schema, requests=1, candidates=len(ranked.survivors))
        batch.client[:] = schema.client_index(ask.client)
        batch.shared, batch.shared_category = self._shared.split(ranked.shared[None, :])
        batch.candidates, batch.candidate_category = self._candidate.split(ranked.candidates[ranked.survivors])
        batch.candidate_pin[:] = hash_ids(walked.pin_ids[ranked.survivors])
        batch.candidate_vector[:] = fitted(topics[walked.pins[ranked.survivors]], schema.n_topics)
        sequence, length = walked.sequence, min(len(walked.sequence.pin_ids), schema.sequence_length)
        if length:
            ids = sequence.pin_ids[:length]
            index = catalog.graph.pin_ids.index_of(ids)
            batch.sequence_pin[0, :length] = hash_ids(ids)
            batch.sequence_action[0, :length] = _places(sequence.actions[:length], schema.actions)
            batch.sequence_client[0, :length] = _places(sequence.clients[:length], schema.clients)
            batch.sequence_age[0, :length] = walked.sequence_age(ask.at)[:length]
            known = np.where((index >= 0)[:, None], topics[np.maximum(index, 0)], 0.0)
            batch.sequence_vector[0, :length] = fitted(known, schema.n_topics)
        return batch


def _unscored(ranked: Ranked) -> Scored:
    return Scored(
        None, np.full(len(ranked.survivors), np.nan, np.float32), np.empty((len(ranked.survivors), 0), np.float32)
    )


def fitted(topics: np.ndarray, width: int) -> np.ndarray:
    """The first `width` topic columns, the ones the model knows; zeros where an older graph had fewer."""
    missing = width - topics.shape[1]
    return topics[:, :width] if missing <= 0 else np.pad(topics, ((0, 0), (0, missing)))


def _places(values: np.ndarray, known: tuple[str, ...]) -> np.ndarray:
    """1 + place of each value in `known`, 0 when it is not there."""
    place = {name: at + 1 for at, name in enumerate(known)}
    return np.array([place.get(value, 0) for value in values], np.int64)
