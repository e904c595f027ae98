"""Who is in an experiment, and which arm they have: a hash of the user's id and a salt, the same in every language.

The hash of a text is a number of [0, 1): the first 13 hexadecimal digits of its SHA-256, divided by 2^52. A user is in
an experiment if the hash of `layer/<layer>/<user>` lies in [start, start + traffic), and has the first arm whose
cumulated share of the weights lies above the hash of `arm/<salt>/<user>`. Membership and arms are drawn apart, so that
`traffic` grows and shrinks without giving anybody who stays another arm.
"""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from cluster.contract.ids import Id
from cluster.experiments.definition import Experiment

OUTSIDE = -1
"""In place of an arm: the unit is not in the experiment."""
MICROSECONDS = 60_000_000
"""Of a minute."""


def point_of(text: str) -> float:
    """The hash of a text, a number of [0, 1); exact in double precision."""
    return (int.from_bytes(sha256(text.encode()).digest()[:7], "big") >> 4) / 2**52


def unit_of(user: Id) -> str:
    """A user as hashed: the digits of a number, the text of a text."""
    return user if isinstance(user, str) else str(int(user))


def is_member(experiment: Experiment, user: Id | None) -> bool:
    """Whether a user is in it. A request without one is in a switchback alone, if that has its whole layer."""
    if user is None:
        return experiment.design == "switchback" and experiment.start == 0.0 and experiment.end == 1.0
    point = point_of(f"layer/{experiment.layer_name}/{unit_of(user)}")
    return experiment.start <= point < experiment.end


def arm_of(experiment: Experiment, user: Id | None, at: int) -> int:
    """Index of the arm that a request of the moment `at` (microseconds since 1970) has, or OUTSIDE.

    In interleaving every answer is made of both arms: 0 for whoever is in it.
    """
    if not is_member(experiment, user):
        return OUTSIDE
    if experiment.design == "interleaving":
        return 0
    if experiment.design == "switchback":
        return _drawn(experiment, str(window_of(experiment, at)))
    return OUTSIDE if user is None else _drawn(experiment, unit_of(user))


def arms_of(experiment: Experiment, users: Sequence[Id], at: int = 0) -> np.ndarray:
    """`arm_of` of many users at one moment, int8[n]."""
    return np.fromiter((arm_of(experiment, user, at) for user in users), np.int8, len(users))


def exposure_of(experiment: Experiment, arm: int) -> tuple[str, ...]:
    """What answers and logs say of an arm by its index, as `experiment/arm`: of interleaving both, outside nothing."""
    if arm == OUTSIDE:
        return ()
    names = list(experiment.arms)
    told = names if experiment.design == "interleaving" else names[arm : arm + 1]
    return tuple(f"{experiment.name}/{name}" for name in told)


def window_of(experiment: Experiment, at: int) -> int:
    """Number of the window of a switchback: they are counted from 1970, in UTC."""
    return at // (experiment.window_minutes * MICROSECONDS)


def _drawn(experiment: Experiment, unit: str) -> int:
    point = point_of(f"arm/{experiment.salt or experiment.name}/{unit}")
    weights = [arm.weight for arm in experiment.arms.values()]
    total = sum(weights)
    upto = 0.0
    for at, weight in enumerate(weights):
        upto += weight
        if point < upto / total:
            return at
    return len(weights) - 1
