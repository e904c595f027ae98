"""What no source may bring into a request, and why: it is left out before anything is looked for. Plain values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.web.pins import PinCard, PinCards
from serving.candidates.query import Query, index_of
from serving.policy.withheld import Withheld

SHOWN = 5
"""Pins that are shown of each reason."""


@dataclass(frozen=True)
class KeptOut:
    """Pins of one reason, each counted under the first that holds."""

    reason: str
    count: int
    pins: tuple[PinCard, ...]


def kept_out(query: Query, withheld: Withheld, cards: PinCards) -> tuple[KeptOut, ...]:
    """By reason, those without any pin left out. Together they are the request's `exclude`."""
    ask = query.ask
    catalog = query.catalog
    user = catalog.users.row(ask.user_id)

    def known(ids: Sequence[int | str]) -> np.ndarray:
        return index_of(catalog, list(ids))

    reasons = (
        ("taken down", withheld.of(catalog)),
        ("hidden by the user", known([*ask.hidden, *user.hidden.tolist()])),
        ("excluded by the request", known(ask.exclude)),
        ("shown too often", known(ask.seen)),
        ("acted on before", known([*query.sequence.pin_ids.tolist(), *ask.barred()])),
        ("forbidden by a label, or on a hidden board or topic", query.exclude),
    )
    left = set(query.exclude.tolist())
    out = []
    for reason, pins in reasons:
        mine = [pin for pin in dict.fromkeys(pins.tolist()) if pin in left]
        left -= set(mine)
        if mine:
            out.append(KeptOut(reason, len(mine), tuple(cards.of(pin) for pin in mine[:SHOWN])))
    return tuple(out)
