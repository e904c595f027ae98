"""How often users acted on each pin, lately and at all, counted from their newest actions. Arrays in, arrays out."""

from collections.abc import Sequence

import numpy as np

from cluster.catalog.history import History
from cluster.features.inputs import PinActivity
from cluster.features.pin import US_PER_DAY


def activity_of(history: History | None, n_pins: int, actions: Sequence[str]) -> PinActivity | None:
    """Of each pin, by `actions`; days are counted back from the newest action of all. None without a history.

    Of a user with more actions than are kept (`features.history_length`) only those count.
    """
    if history is None:
        return None

    def count(rows: np.ndarray) -> np.ndarray:
        return np.bincount(history.pins[rows], minlength=n_pins).astype(np.int32)

    code = {name: at for at, name in enumerate(history.action_names)}
    days = (history.occurred_at.max() - history.occurred_at) / US_PER_DAY
    by_action = [count(history.actions == code.get(name, -1)) for name in actions]
    return PinActivity(
        total=count(np.ones(len(days), bool)),
        by_action=np.stack(by_action, axis=1) if by_action else np.zeros((n_pins, 0), np.int32),
        week=count(days <= 7),
        month=count(days <= 30),
    )
