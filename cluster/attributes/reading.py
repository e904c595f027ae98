"""A filter from JSON, checked at the door: its form, its bounds, and each value against the attribute's kind.

    {"and": [{"attribute": "price", ">=": 5, "<": 20}, {"not": {"attribute": "brand", "in": ["a", "b"]}}]}

Knows nothing of pins; what no pin has is a filter that matches nothing, not a fault.
"""

import json
from collections.abc import Mapping
from typing import Any

from cluster.attributes.conditions import read_condition
from cluster.attributes.faults import Budget, FilterError, Path, told
from cluster.attributes.filters import Conjunction, Disjunction, Filter, Negation
from cluster.settings.attributes import AttributeKind

DEPTH = 8
"""Objects within each other."""


def read_filter(raw: Any, kinds: Mapping[str, AttributeKind], path: Path = ("filter",)) -> Filter:
    """The filter that `raw`, parsed JSON, says. Raises FilterError with the path of the first fault."""
    return _read(raw, kinds, path, Budget(), DEPTH)


def filter_of_text(text: str, kinds: Mapping[str, AttributeKind], path: Path) -> Filter:
    """The filter of a JSON text, as of a command line or the serving log's column `filter`. Raises FilterError."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FilterError(path, f"is no JSON: {error}") from None
    return read_filter(raw, kinds, path)


def _read(raw: Any, kinds: Mapping[str, AttributeKind], path: Path, budget: Budget, depth: int) -> Filter:
    if not isinstance(raw, dict):
        raise FilterError(path, f"expected an object, found {told(raw)}")
    if not depth:
        raise FilterError(path, f"nested more than {DEPTH} deep")
    budget.spend_condition(path)
    joins = [key for key in ("and", "or", "not") if key in raw]
    if not joins:
        return read_condition(raw, kinds, path, budget)
    if len(raw) > 1:
        raise FilterError(
            path, f"{joins[0]!r} stands alone in its object: put what else is asked beside it in an `and`"
        )
    (join,) = joins
    if join == "not":
        return Negation(_read(raw["not"], kinds, (*path, "not"), budget, depth - 1))
    parts = raw[join]
    if not isinstance(parts, list) or not parts:
        raise FilterError((*path, join), "expected a list of at least one filter")
    read = tuple(_read(part, kinds, (*path, join, row), budget, depth - 1) for row, part in enumerate(parts))
    if len(read) == 1:
        return read[0]
    return Conjunction(read) if join == "and" else Disjunction(read)
