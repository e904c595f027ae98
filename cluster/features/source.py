"""Features of which sources found a candidate: one number a candidate.

The built-in ones name no source, so that a new source changes no schema: models that were trained before it still load.
A project gives a source columns of its own by naming it in `features.sources`.
"""

from functools import partial

import numpy as np

from cluster.features.columns import category_code
from cluster.features.feature import Feature, Side
from cluster.features.inputs import SourceInput
from cluster.settings.project import FeatureSettings

SOURCE = Side[SourceInput, np.ndarray]("source")

FUSION = 60.0
"""The k of reciprocal rank fusion."""


def fused(rank: np.ndarray) -> np.ndarray:
    """Reciprocal rank fusion, float32[n]: 1 / (60 + rank) for each source that found the pin; rank int[n, S], -1 none.

    Cormack, Clarke and Büttcher, SIGIR 2009.
    """
    shares = np.float32(1.0) / (np.float32(FUSION) + np.maximum(rank, 0).astype(np.float32))
    return np.where(rank >= 0, shares, np.float32(0.0)).sum(axis=1, dtype=np.float32)


@SOURCE.feature(version=1)
def source_count(sources: SourceInput) -> np.ndarray:
    """Sources that found the pin."""
    return (sources.rank >= 0).sum(axis=1)


@SOURCE.feature(version=1)
def source_best_rank(sources: SourceInput) -> np.ndarray:
    """log1p of the pin's best rank in a source, from 0; NaN where none found it."""
    _, rank = _best(sources)
    return np.log1p(rank)


@SOURCE.feature(version=1)
def source_fused(sources: SourceInput) -> np.ndarray:
    """Reciprocal rank fusion of all sources."""
    return fused(sources.rank)


@SOURCE.feature(version=1, dtype="categorical")
def source_first(sources: SourceInput) -> np.ndarray:
    """The source that ranks the pin best, as a code of its name."""
    column, rank = _best(sources)
    codes = np.append(category_code(np.array(sources.names, object)), np.float32(np.nan))
    return codes[np.where(np.isnan(rank), len(sources.names), column)]


def by_source(settings: FeatureSettings) -> tuple[Feature, ...]:
    """A rank and a score of each source that the project names in `features.sources`."""
    return tuple(
        Feature(f"source_{what}_{name}", "source", "numeric", 1, about, partial(compute, name=name), of_source=name)
        for name in settings.sources
        for what, about, compute in (
            ("rank", f"log1p of the pin's rank in the source {name}; NaN where it did not find it", _rank_in),
            ("score", f"the pin's score in the source {name}; NaN where it did not find it", _score_in),
        )
    )


def _rank_in(sources: SourceInput, name: str) -> np.ndarray:
    rank = sources.rank_of(name)
    return np.log1p(np.where(rank >= 0, rank, np.nan))


def _score_in(sources: SourceInput, name: str) -> np.ndarray:
    if name not in sources.names:
        return np.full(len(sources.rank), np.nan, np.float32)
    return sources.score[:, sources.names.index(name)]


def _best(sources: SourceInput) -> tuple[np.ndarray, np.ndarray]:
    """Column and rank of the source that ranks each pin best, int64[n] and float32[n]; NaN where there is none."""
    if not sources.names:
        nothing = np.full(len(sources.rank), np.nan, np.float32)
        return np.zeros(len(sources.rank), np.int64), nothing
    rank = np.where(sources.rank >= 0, sources.rank, np.inf).astype(np.float32)
    column = rank.argmin(axis=1)
    best = rank[np.arange(len(rank)), column]
    return column, np.where(np.isinf(best), np.float32(np.nan), best)
