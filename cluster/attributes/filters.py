"""A filter as a tree of conditions: frozen, hashable, small enough to travel with a request. Knows no pins and no JSON.

A pin without a value for an attribute meets no condition on it, so that `Negation` of one holds for that pin: what is
asked is "the others", as in Vespa and Elasticsearch, not SQL's third truth value. `HasValue` asks for a value.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Between:
    """Numbers and times between two bounds; infinite ones do not bound. Times are microseconds since 1970."""

    attribute: str
    low: float = float("-inf")
    high: float = float("inf")
    above: bool = False  # the low bound itself is out
    below: bool = False  # the high bound itself is out


@dataclass(frozen=True)
class NumberAmong:
    """A number or time that is one of `values`."""

    attribute: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class TextAmong:
    """A category that is one of `values`, or a list that holds at least one of them."""

    attribute: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class HasValue:
    """Any value at all."""

    attribute: str


@dataclass(frozen=True)
class Conjunction:
    """All of `parts`."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Disjunction:
    """At least one of `parts`."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Negation:
    """What `part` does not hold for."""

    part: Filter


Condition = Between | NumberAmong | TextAmong | HasValue
"""What is asked of one attribute."""

Filter = Condition | Conjunction | Disjunction | Negation
"""Which pins a request may be answered with."""
