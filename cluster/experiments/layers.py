"""Which experiments may run at the same time: those of one layer share no user, and those of two do not disagree."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from cluster.experiments.definition import Experiment
from cluster.experiments.overrides import overlapping


def conflict(new: Experiment, running: Sequence[Experiment]) -> str:
    """Why an experiment may not run beside others of other names, in one line; empty when it may."""
    others = (each for each in running if each.name != new.name)
    return next((why for other in others for why in _conflicts(new, other)), "")


def conflicts(experiments: Sequence[Experiment]) -> list[str]:
    """What is wrong between some experiments."""
    return [why for first, second in combinations(experiments, 2) for why in _conflicts(second, first)]


def _conflicts(new: Experiment, other: Experiment) -> Iterator[str]:
    if (new.salt or new.name) == (other.salt or other.name):
        yield f"{new.name}: salt: {other.name} has the same, so its arms would have the same users: give it another"
    if new.layer_name == other.layer_name:
        if new.start < other.end and other.start < new.end:
            yield (
                f"{new.name}: its part of the layer {new.layer_name}, [{new.start}, {new.end}), overlaps with "
                f"[{other.start}, {other.end}) of {other.name}: move `start`, or make `traffic` less"
            )
        return
    shared = [client for client in new.clients if client in other.clients]
    if not shared:
        return
    where = f"{new.name}: a user of {shared[0]} may be in it and in {other.name}"
    if new.design == other.design == "interleaving":
        yield f"{where}, and one answer has two orders, not four: put both into one layer"
    paths, others = (sorted({path for arm in each.arms.values() for path in arm.set}) for each in (new, other))
    for first, second in (*overlapping(paths, others), *overlapping(others, paths)):
        yield f"{where}, and both set {second if second == first else f'{first} and {second}'}: put both into one layer"
        return
    kinds, theirs = ({kind for arm in each.arms.values() for kind in arm.versions} for each in (new, other))
    if both := sorted(kinds & theirs):
        yield f"{where}, and both pin {both[0]}: put both into one layer"
