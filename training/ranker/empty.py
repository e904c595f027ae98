"""Requests of zeros: a base to fill in. Knows nothing of torch."""

import numpy as np

from training.ranker.batch import Floats, RankerSchema, RequestBatch


def empty_requests(schema: RankerSchema, requests: int, candidates: int) -> RequestBatch:
    """A batch of `requests` requests with `candidates` candidates each, all values zero: a base to fill in."""
    w = schema.widths
    b = requests
    n = requests * candidates

    def floats(*shape: int) -> Floats:
        return np.zeros(shape, np.float32)

    return RequestBatch(
        client=np.zeros(b, np.int64),
        shared=floats(b, w.shared),
        candidates=floats(n, w.candidate),
        request=np.repeat(np.arange(b), candidates),
        sequence_pin=np.zeros((b, w.sequence), np.int64),
        sequence_action=np.zeros((b, w.sequence), np.int64),
        sequence_client=np.zeros((b, w.sequence), np.int64),
        sequence_age=floats(b, w.sequence),
        sequence_vector=floats(b, w.sequence, w.vector),
        candidate_pin=np.zeros(n, np.int64),
        candidate_vector=floats(n, w.vector),
        shared_category=np.zeros((b, w.shared_category), np.int64),
        candidate_category=np.zeros((n, w.candidate_category), np.int64),
    )
