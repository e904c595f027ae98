"""Gathers the inputs of `cluster.features.assemble.build_features` for one request: bundle rows, user row, walk."""

from datetime import UTC, datetime

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.features.assemble import FeatureBlock, build_features
from cluster.features.inputs import CandidateInput, QueryInput, RequestInput, UserInput
from cluster.settings.clients import Client
from serving.lightweight.history import history_of
from serving.request.ask import WalkAsk
from serving.request.walked import Walked


def request_features(
    catalog: Catalog, walked: Walked, ask: WalkAsk, client: Client, negative_actions: tuple[str, ...]
) -> FeatureBlock:
    """The features of one walked request, float32[S] and float32[n, C]; `catalog` is the version that was walked.

    Actions that start the client's walks tell of liking.
    """
    row = catalog.users.row(ask.user_id)
    liked = {name for name, weight in client.query.actions.items() if weight > 0 and name not in negative_actions}
    sequence = walked.sequence
    recent = catalog.graph.pin_ids.index_of(sequence.pin_ids) if len(sequence.pin_ids) else np.empty(0, np.int32)
    known = recent[recent >= 0]
    moment = datetime.fromtimestamp(ask.at / 1e6, UTC)
    topics = catalog.pins.topics
    vectors = catalog.pins.vectors  # float16 on disk
    request = RequestInput(
        user=UserInput(
            numeric=row.numeric,
            interests=row.interests,
            locale=walked.locale,
            recent_age_hours=walked.sequence_age(ask.at),
            recent_positive=~np.isin(sequence.actions.astype(str), negative_actions),
            recent_topics=topics[known] if len(known) else np.zeros((1, topics.shape[1]), np.float32),
            recent_vectors=(vectors[known] if len(known) else np.zeros((1, vectors.shape[1]))).astype(np.float32),
        ),
        query=QueryInput(
            pins=walked.query_pins,
            weight=walked.query_weight,
            age_hours=walked.query_age,
            topics=topics[walked.query_pins],
            vectors=vectors[walked.query_pins].astype(np.float32),
            at_hour=moment.hour,
            weekday=moment.weekday(),
        ),
        found=CandidateInput(
            pins=walked.pins,
            score=walked.score,
            visits=walked.visits,
            hits=walked.hits,
            by_query=walked.by_query,
            degree=catalog.graph.pin_degree[walked.pins],
            locale=catalog.pins.locale[walked.pins],
            topics=topics[walked.pins],
            vectors=vectors[walked.pins].astype(np.float32),
            static=catalog.pins.static[walked.pins],
            lift=catalog.rates.lift(ask.client, walked.pins),
            impressions=catalog.rates.impressions(ask.client, walked.pins),
        ),
        history=history_of(catalog, row, ask, liked),
        similarity=catalog.similarity,
        history_actions=len(catalog.feature_set.history_actions),
    )
    return build_features(catalog.feature_set, request)
