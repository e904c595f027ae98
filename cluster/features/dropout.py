"""Source drop-out: a request's features as they would be, had the log not told that a source found what it found.

A model that has only seen the walk's candidates takes a missing visit count for a bad sign, and would bury what a new
source brings. Trained with drop-out it has seen good candidates without one.
"""

import numpy as np

from cluster.features.assemble import FeatureSet, fill_source_columns
from cluster.features.inputs import SourceInput


def without_source(features: FeatureSet, candidates: np.ndarray, sources: SourceInput, name: str) -> np.ndarray:
    """A copy of float32[n, C] in which `name` found nothing; its candidates stay, as if an unknown source had."""
    out: np.ndarray = candidates.copy()
    out[:, features.of_source(name)] = np.nan
    fill_source_columns(features, sources.without(name), out)
    return out
