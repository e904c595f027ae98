"""Which part of the requests one belongs to: those of new users, of each locale; and which wanted pins are cold."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from apps.backfill.moment import Replayed
from cluster.catalog.catalog import Catalog

MOST_LOCALES = 8
"""Locales with a segment of their own; the requests of all others make one together."""

NO_BOARD = "pins on no board"
"""The name of the part in which only pins without an edge are looked for."""


@dataclass(frozen=True)
class Segments:
    """Where the parts begin."""

    new_below: int = 10  # actions known of the user
    cold_below: int = 5  # boards that a pin is on in the graph of the slice

    @property
    def cold(self) -> str:
        """The name of the part in which only cold pins are looked for."""
        return f"cold pins (on fewer than {self.cold_below} boards)"

    def of(self, catalog: Catalog, moment: Replayed) -> tuple[str, ...]:
        """The parts that a request belongs to."""
        ask = moment.answer.ask
        known = len(ask.exclude)  # of every action before the request, one pin
        age = "new users (fewer than" if known < self.new_below else "known users (at least"
        code = catalog.users.row(ask.user_id).locale
        locale = catalog.pins.vocabulary.locales[code] if code >= 0 else "unknown"
        return f"{age} {self.new_below} actions)", f"locale {locale}"

    def cold_pins(self, catalog: Catalog, pins: np.ndarray) -> np.ndarray:
        """Those of these ids that few boards of the graph have, or none."""
        cold: np.ndarray = pins[boards_of(catalog, pins) < self.cold_below]
        return cold

    def parts_of_pins(self, catalog: Catalog, pins: np.ndarray) -> dict[str, np.ndarray]:
        """Of these ids the cold ones, and among those the ones that no board has: by the part's name, bool[n]."""
        boards = boards_of(catalog, pins)
        return {self.cold: boards < self.cold_below, NO_BOARD: boards == 0}


def boards_of(catalog: Catalog, pins: np.ndarray) -> np.ndarray:
    """int[n]: how many boards of the graph hold each of these ids; 0 for a pin that it does not have."""
    index = catalog.graph.pin_ids.index_of(pins)
    return np.where(index >= 0, catalog.graph.pin_degree[np.maximum(index, 0)], 0)


def few_locales(parts: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The same parts with the rarer locales as one; none at all where every request has the same locale."""
    parts = list(parts)
    count = Counter(name for names in parts for name in names if name.startswith("locale "))
    kept = {name for name, _ in count.most_common(MOST_LOCALES)} if len(count) > 1 else set()
    others = f"locale: {len(count) - len(kept)} others"

    def shown(name: str) -> str | None:
        if not name.startswith("locale ") or name in kept:
            return name
        return others if kept else None

    return [tuple(said for name in names if (said := shown(name)) is not None) for names in parts]
