"""What a user did before a request, as far back as features look: what the graph knows, and what came since."""

from collections.abc import Collection

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.catalog.users import UserRow
from cluster.features.inputs import HistoryInput
from serving.request.ask import WalkAsk


def history_of(catalog: Catalog, user: UserRow, ask: WalkAsk, liked: Collection[str]) -> HistoryInput:
    """The user's actions strictly before the request, newest first, on pins of the graph.

    An action that both the graph's history and the live one have counts once. Of an action outside
    `features.history_actions` the code is -1. `liked`: actions that tell of liking.
    """
    live = ask.recents
    live_pins = catalog.graph.pin_ids.index_of(live.pin_ids) if len(live.pin_ids) else np.empty(0, np.int32)
    pins = np.concatenate([live_pins, user.pins]).astype(np.int32)
    names = np.concatenate([live.actions, user.actions])
    moments = np.concatenate([live.occurred_at, user.occurred_at]).astype(np.int64)
    known = {name: code for code, name in enumerate(dict.fromkeys(names.tolist()))}
    codes = np.array([known[name] for name in names.tolist()], np.int64)
    rows = np.flatnonzero((pins >= 0) & (moments < ask.at))
    if len(live_pins) and len(user.pins):
        rows = rows[_first_of_each(pins[rows], codes[rows], moments[rows])]
    rows = rows[np.argsort(-moments[rows], kind="stable")][: catalog.feature_set.history_length]
    told_apart = {name: code for code, name in enumerate(catalog.feature_set.history_actions)}
    of_code = np.array([told_apart.get(name, -1) for name in known], np.int16)
    likes = np.array([name in liked for name in known], bool)
    pins, codes = pins[rows], codes[rows]
    return HistoryInput(
        pins=pins,
        action=of_code[codes] if len(rows) else np.empty(0, np.int16),
        liked=likes[codes] if len(rows) else np.empty(0, bool),
        static=catalog.pins.static[pins],
    )


def _first_of_each(*columns: np.ndarray) -> np.ndarray:
    """Rows of the first mention of each combination of values, ascending."""
    order = np.lexsort(columns)  # stable: of equal rows the first stays first
    new = np.ones(len(order), bool)
    new[1:] = np.any([column[order][1:] != column[order][:-1] for column in columns], axis=0)
    return np.sort(order[new])
