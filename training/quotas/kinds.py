"""Kinds of users that quotas are learned for: by how much a request says and how much the user did. One definition.

Serving and training both ask here, with numbers that the serving log has.
"""

import numpy as np

QUERY_PINS = (1, 4, 11)
ACTIONS = (1, 8, 24, 64, 160)
"""Bounds. Whoever did much finds much, and is worth more candidates: actions are told apart further up than query pins,
of which a request has `query.max_pins` at most."""

KINDS = (len(QUERY_PINS) + 1) * (len(ACTIONS) + 1)


def kind_of(query_pins: int, actions: int) -> int:
    """0..KINDS-1, of a request with so many query pins whose user is known for so many actions."""
    says = int(np.searchsorted(QUERY_PINS, query_pins, side="right"))
    did = int(np.searchsorted(ACTIONS, actions, side="right"))
    return says * (len(ACTIONS) + 1) + did
