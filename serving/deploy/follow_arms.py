"""One process's look for experiments: what arms need is made ready aside, then requests are drawn into them.

What cannot be had is tried again, as a bundle is; its arms answer as the control meanwhile, and say so. Who is in an
experiment does not depend on that: the same users are compared whatever a process can do for them.
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from cluster.backoff import Backoff
from cluster.errors import in_short
from cluster.experiments.definition import Experiment
from cluster.experiments.register import Register
from serving.experiments.arms import Arms
from serving.experiments.plan import Plan
from serving.request.arm import ArmSettings
from serving.request.served import ServingProblem

log = logging.getLogger(__name__)

KIND = "experiments"
"""Under which name problems of arms are told, beside kinds of bundles."""


@dataclass
class _Failed:
    """Settings that could not be had."""

    reason: str
    since: str
    backoff: Backoff


class ArmLogic(Protocol):
    """A stage that can answer as an arm has it."""

    def prepare_arm(self, arm: ArmSettings) -> None:
        """Have what it needs. Raises whatever is wrong."""
        ...

    def keep_arms(self, arms: Collection[ArmSettings]) -> None:
        """Let go of what only other arms need."""
        ...


@dataclass
class ArmParts:
    """What a process does for arms: `prepare` raises whatever is wrong, `keep` names all that are still wanted."""

    prepare: Sequence[Callable[[ArmSettings], None]] = ()
    keep: Sequence[Callable[[Collection[ArmSettings]], None]] = field(default=())


class ArmFollower:
    """One thread looks; any thread may ask for `problems`."""

    def __init__(self, register: Register, parts: ArmParts, arms: Arms, clock: Callable[[], float] = time.monotonic):
        self._register = register
        self._parts = parts
        self._arms = arms
        self._clock = clock
        self._seen: tuple[Experiment, ...] = ()
        self._ready: dict[str, ArmSettings] = {}
        self._failed: dict[str, tuple[ArmSettings, _Failed]] = {}

    def look(self) -> None:
        """Take what is to run now. Raises nothing: what was before holds where the register cannot be read."""
        try:
            running = self._register.running()
            if running is not self._seen:
                self._change(running)
            elif any(not failed.backoff.waiting for _, failed in self._failed.values()):
                self._prepare([arm for arm, failed in self._failed.values() if not failed.backoff.waiting])
                self._swap()
        except Exception:
            log.exception("the experiments cannot be followed; those of before go on")

    def problems(self) -> tuple[ServingProblem, ...]:
        """Arms that answer as the control, and why."""
        return tuple(
            ServingProblem(
                kind=KIND,
                version=arm.name,
                reason=failed.reason,
                since=failed.since,
                tries=failed.backoff.failures,
                retry_seconds=round(failed.backoff.seconds_left, 1),
                serving="the control",
            )
            for arm, failed in list(self._failed.values())
        )

    def _change(self, running: tuple[Experiment, ...]) -> None:
        """What ended, ends now; what began, begins once it is ready."""
        before = {each.name for each in self._seen}
        self._seen = running
        self._arms.plan = Plan([each for each in running if each.name in before], self._faults())
        wanted = {arm.key: arm for arm in Plan(running).settings()}
        self._ready = {key: arm for key, arm in self._ready.items() if key in wanted}
        self._failed = {key: failed for key, failed in self._failed.items() if key in wanted}
        self._prepare([arm for key, arm in wanted.items() if key not in self._ready and key not in self._failed])
        self._swap()
        for keep in self._parts.keep:
            keep(wanted.values())

    def _prepare(self, arms: Sequence[ArmSettings]) -> None:
        for arm in arms:
            try:
                for prepare in self._parts.prepare:
                    prepare(arm)
            except Exception as error:  # of storage, of a source, of a compiler: the control answers, whatever it is
                self._set_aside(arm, in_short(error))
            else:
                self._ready[arm.key] = arm
                self._failed.pop(arm.key, None)

    def _set_aside(self, arm: ArmSettings, reason: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        known = self._failed.get(arm.key, (arm, _Failed("", now, Backoff(self._clock))))[1]
        if known.reason != reason:
            log.error("%s answers as the control: %s", arm.name, reason)
        known.reason = reason
        known.backoff.failed()
        self._failed = {**self._failed, arm.key: (arm, known)}

    def _faults(self) -> dict[str, str]:
        return {key: failed.reason for key, (_, failed) in self._failed.items()}

    def _swap(self) -> None:
        self._arms.plan = Plan(self._seen, self._faults())
