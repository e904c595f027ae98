"""Features of the moment and of the request as a whole: one number, the same for all its candidates."""

import numpy as np

from cluster.features.feature import Side
from cluster.features.inputs import RequestInput

CONTEXT = Side[RequestInput, float]("context")


@CONTEXT.feature(version=1)
def context_hour(request: RequestInput) -> float:
    """Hour of day, UTC."""
    return request.query.at_hour


@CONTEXT.feature(version=1)
def context_weekday(request: RequestInput) -> float:
    """0 Monday to 6 Sunday, UTC."""
    return request.query.weekday


@CONTEXT.feature(version=1)
def context_query_pins(request: RequestInput) -> float:
    """Number of query pins."""
    return request.queries


@CONTEXT.feature(version=1)
def context_reached(request: RequestInput) -> float:
    """log1p of the number of candidates."""
    return np.log1p(request.candidates)
