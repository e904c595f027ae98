"""Which pins a filter matches, as bool[n_pins], worked out over whole columns at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from cluster.attributes.filters import (
    Between,
    Conjunction,
    Disjunction,
    Filter,
    HasValue,
    Negation,
    NumberAmong,
    TextAmong,
)
from cluster.attributes.postings import Postings
from cluster.errors import BundleError

C = TypeVar("C")


def mask_of(asked: Filter, n_pins: int, numbers: Mapping[str, np.ndarray], texts: Mapping[str, Postings]) -> np.ndarray:
    """bool[n_pins], new. Raises BundleError for an attribute that is not among those columns."""
    if isinstance(asked, Negation):
        return ~mask_of(asked.part, n_pins, numbers, texts)
    if isinstance(asked, (Conjunction, Disjunction)):
        join = np.logical_and if isinstance(asked, Conjunction) else np.logical_or
        out = mask_of(asked.parts[0], n_pins, numbers, texts)
        for part in asked.parts[1:]:
            join(out, mask_of(part, n_pins, numbers, texts), out=out)
        return out
    if isinstance(asked, Between):
        values = _column(numbers, asked.attribute)
        low = values > asked.low if asked.above else values >= asked.low
        return np.asarray(low & (values < asked.high if asked.below else values <= asked.high))
    if isinstance(asked, NumberAmong):
        return np.isin(_column(numbers, asked.attribute), np.array(asked.values))
    if isinstance(asked, HasValue) and asked.attribute in numbers:
        return ~np.isnan(numbers[asked.attribute])
    out = np.zeros(n_pins, bool)
    postings = _column(texts, asked.attribute)
    if isinstance(asked, TextAmong):
        postings.mark(asked.values, out)
    else:
        postings.mark_all(out)
    return out


def _column(columns: Mapping[str, C], name: str) -> C:
    if name not in columns:
        raise BundleError(
            f"the graph that serves now has no attribute {name!r} as pinfunnel.yaml declares it: build the graph again"
        )
    return columns[name]
