"""One condition from JSON: `{"attribute": "price", ">=": 5, "<": 20}`. Which operators each kind has, and their values.

Several operators in one object all have to hold.
"""

import difflib
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cluster.attributes.faults import TEXT_BYTES, Budget, FilterError, Path, told
from cluster.attributes.filters import (
    Between,
    Condition,
    Conjunction,
    Filter,
    HasValue,
    Negation,
    NumberAmong,
    TextAmong,
)
from cluster.contract.text import text_fault
from cluster.settings.attributes import AttributeKind

ORDERED = ("=", "in", "<", "<=", ">", ">=", "exists")
OPERATORS: Mapping[AttributeKind, tuple[str, ...]] = {
    "number": ORDERED,
    "time": ORDERED,
    "category": ("=", "in", "exists"),
    "list": ("contains", "any_of", "all_of", "exists"),
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LISTED = 20


def read_condition(raw: dict[str, Any], kinds: Mapping[str, AttributeKind], path: Path, budget: Budget) -> Filter:
    """The condition of an object with an `attribute`. Raises FilterError."""
    name = _attribute(raw, kinds, path)
    kind = kinds[name]
    at = (*path, name)
    operators = [key for key in raw if key != "attribute"]
    if not operators:
        raise FilterError(at, f"says nothing of the attribute: give one of {', '.join(OPERATORS[kind])}")
    parts: list[Filter] = []
    for operator in operators:
        if operator not in OPERATORS[kind]:
            known = ", ".join(OPERATORS[kind])
            raise FilterError(
                at, f"an attribute of the kind {kind} has no operator {told(operator)}: there are {known}"
            )
        parts.append(_part(name, kind, operator, raw[operator], (*at, operator), budget))
    return parts[0] if len(parts) == 1 else Conjunction(tuple(parts))


def _attribute(raw: dict[str, Any], kinds: Mapping[str, AttributeKind], path: Path) -> str:
    if "attribute" not in raw:
        raise FilterError(path, "expected one of the keys 'attribute', 'and', 'or', 'not'")
    name = raw["attribute"]
    at = (*path, "attribute")
    if not isinstance(name, str):
        raise FilterError(at, f"expected the name of an attribute, found {told(name)}")
    if name in kinds:
        return name
    near = difflib.get_close_matches(name[:100], kinds, n=1)
    there = ", ".join(list(kinds)[:_LISTED])
    hint = f"did you mean {near[0]!r}?" if near else f"there are {there} (`attributes` in pinfunnel.yaml)"
    raise FilterError(at, f"no attribute {told(name)}; {hint}")


def _part(name: str, kind: AttributeKind, operator: str, value: Any, at: Path, budget: Budget) -> Filter:
    if operator == "exists":
        if not isinstance(value, bool):
            raise FilterError(at, f"expected true or false, found {told(value)}")
        return HasValue(name) if value else Negation(HasValue(name))
    if operator in ("in", "any_of", "all_of"):
        if not isinstance(value, list) or not value:
            raise FilterError(at, "expected a list of at least one value")
        budget.spend_values(len(value), at)
        values = [_value(kind, each, (*at, row)) for row, each in enumerate(value)]
        if operator == "all_of":
            every = tuple(_one_of(name, [each]) for each in dict.fromkeys(values))
            return every[0] if len(every) == 1 else Conjunction(every)
        return _one_of(name, values)
    budget.spend_values(1, at)
    given = _value(kind, value, at)
    if isinstance(given, str) or operator == "=":
        return _one_of(name, [given])
    if operator in ("<", "<="):
        return Between(name, high=given, below=operator == "<")
    return Between(name, low=given, above=operator == ">")


def _one_of(name: str, values: list[float] | list[str] | list[Any]) -> Condition:
    """The values in order and once each, so that the same set is the same condition."""
    once = tuple(sorted(set(values)))
    return TextAmong(name, once) if isinstance(once[0], str) else NumberAmong(name, once)


def _value(kind: AttributeKind, value: Any, at: Path) -> float | str:
    if kind == "number":
        return _number(value, at, "a number")
    if kind == "time":
        return _moment(value, at)
    return _text(value, at)


def _number(value: Any, at: Path, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FilterError(at, f"expected {wanted}, found {told(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise FilterError(at, "expected a finite number")
    return number + 0.0  # -0.0 is 0.0


def _moment(value: Any, at: Path) -> float:
    """Microseconds since 1970, of a text like 2026-01-31T12:00:00Z or of seconds since 1970."""
    if not isinstance(value, str):
        return _number(value, at, "a time like 2026-01-31T12:00:00Z, or seconds since 1970") * 1e6 + 0.0
    try:
        moment = datetime.fromisoformat(value[:64])
    except ValueError:
        raise FilterError(at, f"expected a time like 2026-01-31T12:00:00Z, found {told(value)}") from None
    if moment.tzinfo is None:
        raise FilterError(at, "has no time zone; send UTC, like 2026-01-31T12:00:00Z")
    return float((moment - _EPOCH) // timedelta(microseconds=1))


def _text(value: Any, at: Path) -> str:
    """A text as the pins input's reader makes it: numbers and truth values as their text (cluster/data/casting.py)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        text = str(value) if abs(value) < 10**TEXT_BYTES else None
    else:
        text = value if isinstance(value, str) else None
    if text is None:
        raise FilterError(at, f"expected a text, found {told(value)}")
    if fault := text_fault(text, TEXT_BYTES):
        raise FilterError(at, fault)
    return text
