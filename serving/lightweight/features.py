"""Gathers the inputs of `cluster.features.assemble.build_features` for one request: bundle rows, user row, walk."""

from datetime import UTC, datetime

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.features.assemble import FeatureBlock, build_features
from cluster.features.inputs import CandidateInput, QueryInput, UserInput
from serving.request.walked import Walked


def request_features(
    catalog: Catalog, walked: Walked, user_id: int | str | None, at: int, negative_actions: tuple[str, ...]
) -> FeatureBlock:
    """The features of one walked request, float32[S] and float32[n, C]; `catalog` is the version that was walked."""
    row = catalog.users.row(user_id)
    sequence = walked.sequence
    recent = catalog.graph.pin_ids.index_of(sequence.pin_ids) if len(sequence.pin_ids) else np.empty(0, np.int32)
    known = recent[recent >= 0]
    moment = datetime.fromtimestamp(at / 1e6, UTC)
    topics = catalog.pins.topics
    static = catalog.pins.static
    degree = catalog.graph.pin_degree
    vectors = catalog.pins.vectors  # float16 on disk
    return build_features(
        catalog.feature_set,
        UserInput(
            numeric=row.numeric,
            interests=row.interests,
            locale=walked.locale,
            recent_age_hours=walked.sequence_age(at),
            recent_positive=~np.isin(sequence.actions.astype(str), negative_actions),
            recent_topics=topics[known] if len(known) else np.zeros((1, topics.shape[1]), np.float32),
            recent_vectors=(vectors[known] if len(known) else np.zeros((1, vectors.shape[1]))).astype(np.float32),
        ),
        QueryInput(
            weight=walked.query_weight,
            age_hours=walked.query_age,
            topics=topics[walked.query_pins],
            vectors=vectors[walked.query_pins].astype(np.float32),
            at_hour=moment.hour,
            weekday=moment.weekday(),
        ),
        CandidateInput(
            score=walked.score,
            visits=walked.visits,
            hits=walked.hits,
            by_query=walked.by_query,
            degree=degree[walked.pins],
            locale=catalog.pins.locale[walked.pins],
            topics=topics[walked.pins],
            vectors=vectors[walked.pins].astype(np.float32),
            static=static[walked.pins],
        ),
    )
