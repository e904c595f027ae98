"""Gathers the inputs of `cluster.features.assemble.build_features` for one request: bundle rows, user row, walk."""

from datetime import UTC, datetime

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.features.assemble import FeatureBlock, build_features
from cluster.features.inputs import CandidateInput, QueryInput, RequestInput, UserInput
from cluster.settings.clients import Client
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.history import history_of


def request_features(
    catalog: Catalog, candidates: Candidates, ask: WalkAsk, client: Client, negative_actions: tuple[str, ...]
) -> FeatureBlock:
    """The features of one request, float32[S] and float32[n, C]; `catalog` is the version that the candidates are of.

    Actions that start the client's walks tell of liking.
    """
    row = catalog.users.row(ask.user_id)
    liked = {name for name, weight in client.query.actions.items() if weight > 0 and name not in negative_actions}
    sequence = candidates.sequence
    recent = catalog.graph.pin_ids.index_of(sequence.pin_ids) if len(sequence.pin_ids) else np.empty(0, np.int32)
    known = recent[recent >= 0]
    moment = datetime.fromtimestamp(ask.at / 1e6, UTC)
    topics = catalog.pins.topics
    vectors = catalog.pins.vectors  # float16 on disk
    request = RequestInput(
        user=UserInput(
            numeric=row.numeric,
            interests=row.interests,
            locale=candidates.locale,
            recent_age_hours=candidates.sequence_age(ask.at),
            recent_positive=~np.isin(sequence.actions.astype(str), negative_actions),
            recent_topics=topics[known] if len(known) else np.zeros((1, topics.shape[1]), np.float32),
            recent_vectors=(vectors[known] if len(known) else np.zeros((1, vectors.shape[1]))).astype(np.float32),
        ),
        query=QueryInput(
            pins=candidates.query_pins,
            weight=candidates.query_weight,
            age_hours=candidates.query_age,
            topics=topics[candidates.query_pins],
            vectors=vectors[candidates.query_pins].astype(np.float32),
            at_hour=moment.hour,
            weekday=moment.weekday(),
        ),
        found=CandidateInput(
            pins=candidates.pins,
            sources=candidates.sources,
            score=candidates.walk_score,
            visits=candidates.visits,
            hits=candidates.hits,
            by_query=candidates.by_query,
            degree=catalog.graph.pin_degree[candidates.pins],
            locale=catalog.pins.locale[candidates.pins],
            topics=topics[candidates.pins],
            vectors=vectors[candidates.pins].astype(np.float32),
            static=catalog.pins.static[candidates.pins],
            lift=catalog.rates.lift(ask.client, candidates.pins),
            impressions=catalog.rates.impressions(ask.client, candidates.pins),
        ),
        history=history_of(catalog, row, ask, liked),
        similarity=catalog.similarity,
        history_actions=len(catalog.feature_set.history_actions),
    )
    return build_features(catalog.feature_set, request)
