"""The experiments of one process as requests meet them: the plan that holds now, and what an answer says of it."""

from dataclasses import replace

from cluster import kinds
from serving.experiments.plan import Drawn, Plan
from serving.request.answer import Answer
from serving.request.arm import ArmSettings
from serving.request.ask import WalkAsk


class Arms:
    """Draws the arms of requests. Whoever follows the experiments swaps the plan; thread-safe."""

    def __init__(self) -> None:
        self.plan = Plan()

    def draw(self, ask: WalkAsk) -> Drawn:
        """What is in force for a request; NOTHING for nearly all."""
        return self.plan.draw(ask)


def with_arm(ask: WalkAsk, arm: ArmSettings | None) -> WalkAsk:
    """The request as an arm has it."""
    return ask if arm is ask.arm else replace(ask, arm=arm)


def not_as_pinned(answer: Answer) -> list[str]:
    """Models of the answer that are not those which its arm pins: a process did not have them yet, or lost them."""
    arm = answer.ask.arm
    if arm is None or not arm.versions:
        return []
    used = {}
    if answer.ranked is not None:
        used[kinds.lightweight(arm.client)] = answer.ranked.version
    if answer.scored is not None and answer.scored.version is not None:
        used[kinds.FULL] = answer.scored.version
    return [
        f"{arm.name} answers as the control in part: {kind} {version} is not ready, {used[kind] or 'none'} answered"
        for kind, version in arm.versions
        if kind in used and used[kind] != version
    ]
