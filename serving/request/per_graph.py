"""What is worked out once for each graph version, and kept for the last few: requests under way finish on theirs."""

from collections.abc import Callable
from typing import Generic, TypeVar

from cluster.catalog.catalog import Catalog

T = TypeVar("T")


class PerGraph(Generic[T]):
    """Made from a catalog when it is first asked for. Threads that ask at the same time may each make it."""

    def __init__(self, make: Callable[[Catalog], T], keep: int = 2):
        """`keep`: versions, at least 2."""
        self._make = make
        self._keep = keep
        self._made: dict[str, T] = {}

    def of(self, catalog: Catalog) -> T:
        """That of this version."""
        made = self._made.get(catalog.version)
        return self.renew(catalog) if made is None else made

    def renew(self, catalog: Catalog) -> T:
        """The same, made anew: a version that is opened again is mapped elsewhere."""
        made = self._make(catalog)
        others = [(version, one) for version, one in self._made.items() if version != catalog.version]
        self._made = dict([*others[1 - self._keep :], (catalog.version, made)])
        return made
