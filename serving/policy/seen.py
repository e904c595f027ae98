"""What each user was shown lately, in bounded memory: the `seen` step of a client's policy reads it.

What this process answered is known at once; what others did, and this one before it started, comes with the request
(`WalkAsk.shown`), within a second. Knows nothing of Ray, HTTP or ranking.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from serving.request.ask import Id, ShownPins


@dataclass
class Seen:
    """The last `answers` answers of the last `users` users that a client with `seen_times` > 0 was asked for.

    Requests of several threads may share one.
    """

    users: int = 100_000
    answers: int = 20
    _shown: OrderedDict[tuple[str, Id], deque[tuple[int, tuple[Id, ...]]]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def note(self, client: str, user: Id | None, at: int, pins: Sequence[Id]) -> None:
        """Remember an answer given at `at` (microseconds); anonymous visitors are not remembered."""
        if user is None:
            return
        with self._lock:
            mine = self._shown.setdefault((client, user), deque(maxlen=self.answers))
            mine.append((at, tuple(pins)))
            self._shown.move_to_end((client, user))
            while len(self._shown) > self.users:
                self._shown.popitem(last=False)

    def often(self, client: str, user: Id | None, since: int, times: int, told: Sequence[ShownPins] = ()) -> np.ndarray:
        """Pins that this client showed to the user at least `times` times from `since` on: ids, object[m].

        `told`: answers that others know of; one that is known here, too, counts once.
        """
        if user is None or times <= 0:
            return np.empty(0, object)
        shown = {one.at: one.pins for one in told if one.client == client}
        with self._lock:
            shown |= dict(self._shown.get((client, user), ()))
        count = Counter(pin for at, pins in shown.items() if at >= since for pin in pins)
        return np.array([pin for pin, n in count.items() if n >= times], dtype=object)
