"""The same request answered twice: in visit-count order, and in the order that was learned. Plain values."""

from collections import Counter
from dataclasses import dataclass

from apps.web.pins import PinCard, PinCards
from serving.request.answer import Answer

MOST_TOPICS = 6


@dataclass(frozen=True)
class Placed:
    """A pin of one answer; `other` is its position in the other one, from 0, None where it is not there."""

    pin: PinCard
    position: int
    other: int | None


@dataclass(frozen=True)
class TopicShare:
    """How much of each answer has a main topic."""

    topic: str
    hue: float
    old: int
    new: int
    wanted: bool  # the user has declared it as an interest


@dataclass(frozen=True)
class TwoOrders:
    """Old and new side by side."""

    old: tuple[Placed, ...]
    new: tuple[Placed, ...]
    both: int
    topics: tuple[TopicShare, ...]

    @property
    def most(self) -> int:
        """Pins of the topic that has most in either."""
        return max((max(topic.old, topic.new) for topic in self.topics), default=1)


def two_orders(old: Answer, new: Answer, cards: PinCards, interests: tuple[str, ...] = ()) -> TwoOrders:
    """`old` is the answer in the order of visit counts."""
    before, after = ([int(answer.candidates.pins[row]) for row in answer.shown.tolist()] for answer in (old, new))
    left = tuple(Placed(cards.of(pin), at, _at(after, pin)) for at, pin in enumerate(before))
    right = tuple(Placed(cards.of(pin), at, _at(before, pin)) for at, pin in enumerate(after))
    old_topics, new_topics = (Counter(_main(each.pin) for each in order) for order in (left, right))
    frequent = (old_topics + new_topics).most_common()
    topics = tuple(
        TopicShare(topic, cards.topic_hue(topic), old_topics[topic], new_topics[topic], topic in interests)
        for topic, _ in frequent[:MOST_TOPICS]
    )
    return TwoOrders(left, right, len(set(before) & set(after)), topics)


def _at(order: list[int], pin: int) -> int | None:
    return order.index(pin) if pin in order else None


def _main(pin: PinCard) -> str:
    return pin.topics[0] if pin.topics else "no topic"
