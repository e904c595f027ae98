"""What is asked: one request as the walker sees it, and what is known of the user since the graph was built."""

from dataclasses import dataclass, field, replace

import numpy as np

from cluster.attributes.filters import Filter
from cluster.contract.ids import Id as Id
from serving.request.arm import ArmSettings


@dataclass(frozen=True)
class Recents:
    """A user's actions since the graph was built, newest first; arrays of equal length."""

    pin_ids: np.ndarray  # int64 or object
    actions: np.ndarray  # object (str)
    clients: np.ndarray  # object (str)
    occurred_at: np.ndarray  # int64, microseconds since 1970 UTC

    @classmethod
    def none(cls) -> "Recents":
        """Nothing known."""
        empty = np.empty(0, object)
        return cls(empty, empty, empty, np.empty(0, np.int64))


@dataclass(frozen=True)
class ShownPins:
    """One answer that a user got."""

    client: str
    at: int  # microseconds since 1970 UTC
    pins: tuple[Id, ...]  # ids


@dataclass(frozen=True)
class UserState:
    """What the logs say of a user."""

    recents: Recents = field(default_factory=Recents.none)
    hidden: tuple[Id, ...] = ()  # pin ids, newest first, each once
    shown: tuple[ShownPins, ...] = ()  # the last answers by any process, newest first

    @property
    def known(self) -> bool:
        """Whether there is anything."""
        return bool(len(self.recents.pin_ids) or self.hidden or self.shown)

    def oldest(self) -> int:
        """Microseconds of the oldest act or answer, 2^63 - 1 where there is none."""
        times = [*self.recents.occurred_at.tolist(), *(one.at for one in self.shown)]
        return min(times, default=2**63 - 1)

    def since(self, moment: int) -> "UserState":
        """What is not older than `moment` (microseconds). Where that is not all, only pins hidden by what is left."""
        acts = self.recents
        new = acts.occurred_at >= moment
        shown = tuple(one for one in self.shown if one.at >= moment)
        if new.all():
            return replace(self, shown=shown)
        recents = Recents(acts.pin_ids[new], acts.actions[new], acts.clients[new], acts.occurred_at[new])
        left = set(recents.pin_ids.tolist())
        return UserState(recents, tuple(pin for pin in self.hidden if pin in left), shown)


@dataclass(frozen=True)
class WalkAsk:
    """One request, as the walker sees it."""

    client: str
    user_id: int | str | None
    query_pins: tuple[tuple[int | str, float | None], ...]
    exclude: tuple[int | str, ...]
    locale: str | None
    at: int  # microseconds since 1970 UTC
    seed: int
    recents: Recents = field(default_factory=Recents.none)
    limit: int = 0  # pins that the answer is to have; 0: the client's answer size
    seen: tuple[int | str, ...] = ()  # what the user was shown too often to see it again
    also: tuple[int | str, ...] = ()  # pins that are candidates whatever is found, as those that history showed
    hidden: tuple[int | str, ...] = ()  # what the user hid since the graph was built, however many actions ago
    shown: tuple[ShownPins, ...] = ()  # the last answers that the user got, of any client
    known_since: int = 0  # microseconds: what is older was forgotten with the user
    hidden_boards: frozenset[int | str] = frozenset()  # by the user's choice: none of their pins may be answered
    hidden_topics: frozenset[str] = frozenset()  # the same
    filter: Filter | None = None  # only pins that it matches may be answered; None: all
    arm: ArmSettings | None = None  # what experiments change of the client for this request; None: nothing

    def barred(self) -> list[int | str]:
        """Pins that this request may not be answered with: it excludes them, or its user hid or acted on them."""
        acted = self.recents.pin_ids[self.recents.occurred_at < self.at]
        return [*self.exclude, *self.hidden, *acted.tolist()]
