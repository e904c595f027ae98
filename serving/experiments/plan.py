"""From the experiments that run to what is different for one request: its arms, all in force, and what they set.

Plain data and hashes, worked out once for each meeting of arms; a client without an experiment costs one look-up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from pydantic import JsonValue

from cluster.experiments.assignment import OUTSIDE, arm_of, exposure_of
from cluster.experiments.definition import Experiment
from cluster.kinds import FULL, lightweight
from serving.request.arm import ArmSettings
from serving.request.ask import WalkAsk

MOST = 64
"""Different settings that arms of one client may meet in: each is kept ready by every process."""

Held = tuple[Experiment, int]
"""An experiment, and the index of the arm that a request has of it."""


@dataclass(frozen=True)
class Drawn:
    """What is in force for a request."""

    exposure: tuple[str, ...] = ()  # `experiment/arm`
    arm: ArmSettings | None = None
    other: ArmSettings | None = None  # of the second order, where two are interleaved
    interleaves: bool = False
    notes: tuple[str, ...] = ()  # arms that answer as their control does, and why


NOTHING = Drawn()


class Plan:
    """Of the experiments that run at one moment. Thread-safe."""

    def __init__(self, experiments: Sequence[Experiment] = (), faults: Mapping[str, str] | None = None):
        """`faults`: why settings cannot be had in this process, by their key; their arms answer as the control."""
        self.experiments = tuple(experiments)
        self._faults = faults or {}
        self._of: dict[str, tuple[Experiment, ...]] = {}
        for each in experiments:
            for client in each.clients:
                self._of[client] = (*self._of.get(client, ()), each)
        self._drawn: dict[tuple[str, tuple[tuple[str, int], ...]], Drawn] = {}

    def draw(self, ask: WalkAsk) -> Drawn:
        """The arms of a request: of its user, or of its moment."""
        mine = self._of.get(ask.client)
        if mine is None:
            return NOTHING
        held = [(each, arm) for each in mine if (arm := arm_of(each, ask.user_id, ask.at)) != OUTSIDE]
        if not held:
            return NOTHING
        key = (ask.client, tuple((each.name, arm) for each, arm in held))
        if key not in self._drawn:
            self._drawn[key] = self._settled(ask.client, held)
        return self._drawn[key]

    def settings(self) -> list[ArmSettings]:
        """All that a request may need, of single arms and of arms that meet in one request, each once."""
        found: dict[str, ArmSettings] = {}
        for client in self._of:
            for held in self.meetings(client):
                for arm in _both(client, held):
                    if arm is not None:
                        found.setdefault(arm.key, arm)
        return list(found.values())

    def count_meetings(self, client: str) -> int:
        """How many `meetings` yields, and one."""
        layers: dict[str, int] = {}
        for each in self._of.get(client, ()):
            layers[each.layer_name] = layers.get(each.layer_name, 1) + len(each.arms)
        return prod(layers.values())

    def meetings(self, client: str) -> Iterator[tuple[Held, ...]]:
        """All sets of arms that one request of a client may have, those of one arm first."""
        layers: dict[str, list[Held | None]] = {}
        for each in self._of.get(client, ()):
            arms = range(1 if each.design == "interleaving" else len(each.arms))
            layers.setdefault(each.layer_name, [None]).extend((each, at) for at in arms)
        met = (tuple(one for one in choice if one is not None) for choice in product(*layers.values()))
        return iter(sorted((held for held in met if held), key=len))

    def _settled(self, client: str, held: Sequence[Held]) -> Drawn:
        exposure = tuple(told for each, arm in held for told in exposure_of(each, arm))
        works = list(held)
        notes: list[str] = []
        for one in held:
            if why := self._fault(client, [one]):
                works.remove(one)
                notes.append(why)
        if works and (why := self._fault(client, works)):
            works = []
            notes.append(why)
        arm, other = _both(client, works)
        interleaves = any(each.design == "interleaving" for each, _ in works)
        return Drawn(exposure, arm, other, interleaves, tuple(notes))

    def _fault(self, client: str, held: Sequence[Held]) -> str:
        arms = [arm for arm in _both(client, held) if arm is not None]
        return next(
            (f"{arm.name} answers as the control: {self._faults[arm.key]}" for arm in arms if arm.key in self._faults),
            "",
        )


def merged(client: str, held: Sequence[Held]) -> ArmSettings | None:
    """What some arms set of a client, all together."""
    changes: dict[str, JsonValue] = {}
    versions: dict[str, str] = {}
    for each, at in held:
        arm = list(each.arms.values())[at]
        changes |= arm.set
        versions |= {kind: version for kind, version in arm.versions.items() if kind in (FULL, lightweight(client))}
    name = "+".join(f"{each.name}/{list(each.arms)[at]}" for each, at in held)
    return ArmSettings.of(client, name, changes, versions)


def _both(client: str, held: Sequence[Held]) -> tuple[ArmSettings | None, ArmSettings | None]:
    """The settings of an answer, and those of its second order where one of the arms is interleaved."""
    second = [(each, 1 if each.design == "interleaving" else at) for each, at in held]
    return merged(client, held), merged(client, second) if second != list(held) else None
