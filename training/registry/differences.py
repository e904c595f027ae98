"""Where two versions of a kind differ: every fact of their manifests, by a dotted name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LONG = 12
"""Items of a list that are told one by one: a longer one is told by its length."""


@dataclass(frozen=True)
class Difference:
    """A fact of two manifests; None where one of them does not have it."""

    name: str
    before: Any
    after: Any

    @property
    def change(self) -> float | None:
        """How much was added, where both are numbers."""
        numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (self.before, self.after))
        return float(self.after) - float(self.before) if numbers else None


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The facts that differ, in the order of the newer manifest, those that only the older one has behind them."""
    old, new = dict(flat(before)), dict(flat(after))
    names = [*new, *(name for name in old if name not in new)]
    found = (Difference(name, old.get(name), new.get(name)) for name in names)
    return tuple(one for one in found if one.before != one.after)


def flat(facts: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of everything that nested mappings and short lists hold."""
    for name, value in facts.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}.")
        elif isinstance(value, list) and len(value) > LONG:
            yield path, f"{len(value):,} values"
        elif isinstance(value, list):
            yield path, ", ".join(str(one) for one in value)
        else:
            yield path, value
