"""What a policy step is, and the steps by name. Each stands in a file of serving/policy/steps and registers itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from cluster.settings.clients import PolicySettings
from cluster.settings.parsing import Settings, parse
from serving.policy.slate import Rows, Slate
from serving.request.candidates import Candidates
from serving.request.ranked import Ranked

S = TypeVar("S", bound=Settings)


class Phase(IntEnum):
    """When a step runs. Only filters lose pins; they hold for every answer, a degraded one and a control arm too."""

    FILTER = 0  # takes out what may not be shown
    RESCORE = 1  # changes scores, and sorts by them
    SPREAD = 2  # changes the order, looking at several pins at once
    CAP = 3  # moves back what is too many; last, because it must hold


@dataclass(frozen=True)
class PolicyRequest:
    """What a step may know beside the slate, whose `pin` is a row of `candidates`."""

    size: int  # of the answer
    hidden: Rows  # what the request excludes and the user acted on
    seen: Rows  # what the user was shown too often
    candidates: Candidates
    ranked: Ranked | None  # None: the lightweight stage failed


Step = Callable[[Slate, PolicyRequest], Slate]
"""Takes the slate and gives one with the rows that stay, in their new order."""

Make = Callable[[PolicySettings], Iterable[Step]]
"""A client's steps of one kind, made once at start; none when its YAML does not ask for any."""


@dataclass(frozen=True)
class StepKind:
    """One entry of the registry."""

    phase: Phase
    name: str
    make: Make


REGISTRY: dict[str, StepKind] = {}


def register(name: str, phase: Phase) -> Callable[[Make], Make]:
    """Enters the decorated function as the maker of the step `name`. Within a phase, steps run in order of names."""

    def enter(make: Make) -> Make:
        if name in REGISTRY:
            raise ValueError(f"two policy steps are called {name!r}")
        REGISTRY[name] = StepKind(phase, name, make)
        return make

    return enter


def asked(policy: PolicySettings, name: str, settings: type[S]) -> S | None:
    """The settings that the client's YAML gives under `policy.steps.<name>`, or None. Raises ConfigError."""
    if name not in policy.steps:
        return None
    return parse(settings, policy.steps[name], f"policy.steps.{name}")
