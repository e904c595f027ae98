"""A pin as people see it: picture or tile, topics, locale. The tile follows from id and topic, the same everywhere."""

import hashlib
from dataclasses import dataclass

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.contract.ids import plain_id

TOPICS = 3
"""Names told of a pin."""
SHAPES = 8
"""Drawings that tiles are put together from (templates/tiles.html)."""
GOLDEN_ANGLE = 137.508
"""Degrees between the hues of one topic and the next: neighbours in a list of topics look unlike."""
GREY = -1.0


@dataclass(frozen=True)
class Tile:
    """What is drawn where there is no picture: two shapes in the hue of the main topic, degrees; GREY without one."""

    hue: float
    first: int
    second: int
    turn: int  # quarters that the second one is turned by


@dataclass(frozen=True)
class PinCard:
    """One pin."""

    pin_id: int | str
    topics: tuple[str, ...]
    locale: str | None
    image: str | None
    tile: Tile


class PinCards:
    """Cards of one catalog's pins."""

    def __init__(self, catalog: Catalog):
        self._catalog = catalog
        self._made: dict[int, PinCard] = {}

    def of(self, pin: int) -> PinCard:
        """The card of a pin by its index."""
        if pin not in self._made:
            self._made[pin] = self._card(pin)
        return self._made[pin]

    def of_id(self, pin_id: int | str) -> PinCard:
        """The card of a pin by its id; a bare one for a pin that the catalog does not have."""
        index = int(self._catalog.graph.pin_ids.index_of([pin_id])[0])
        return self.of(index) if index >= 0 else PinCard(pin_id, (), None, None, tile_of(pin_id, -1))

    def topic_hue(self, topic: str) -> float:
        """The hue of tiles of pins with this main topic."""
        names = self._catalog.pins.vocabulary.topics
        return hue_of(names.index(topic)) if topic in names else GREY

    def _card(self, pin: int) -> PinCard:
        pins = self._catalog.pins
        names = pins.vocabulary.topics
        weight = np.asarray(pins.topics[pin])[: len(names)]
        strongest = np.argsort(-weight, kind="stable")[:TOPICS]
        told = [int(topic) for topic in strongest if weight[topic] > 0]
        locale = int(pins.locale[pin])
        pin_id = plain_id(self._catalog.graph.pin_ids.ids_of(np.array([pin]))[0])
        return PinCard(
            pin_id,
            tuple(names[topic] for topic in told),
            pins.vocabulary.locales[locale] if locale >= 0 else None,
            None if pins.images is None else pins.images.of(pin),
            tile_of(pin_id, told[0] if told else -1),
        )


def tile_of(pin_id: int | str, topic: int) -> Tile:
    """The tile of a pin with this main topic, -1 for none."""
    drawn = hashlib.blake2b(str(pin_id).encode("utf-8", "replace"), digest_size=4).digest()
    first = drawn[0] % SHAPES
    second = (first + 1 + drawn[1] % (SHAPES - 1)) % SHAPES
    return Tile(hue_of(topic), first, second, drawn[2] % 4)


def hue_of(topic: int) -> float:
    """Degrees on the colour circle."""
    return GREY if topic < 0 else round((210.0 + topic * GOLDEN_ANGLE) % 360.0, 1)
