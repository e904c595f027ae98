"""Runs the stages of one request: how long each may take, what it took, and what the answer lacks when one fails.

Every stage goes through here and none is special. Knows nothing of what the stages do.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Literal, ParamSpec, Protocol, TypeVar

from cluster.errors import in_short
from serving.request.deadline import Deadline

P = ParamSpec("P")
T = TypeVar("T")

Outcome = Literal["done", "late", "failed", "skipped"]
Reason = Literal["late", "stale", "partial", "query_pins", "popular", "short", "shards", "arm"]
"""Why an answer lacks something of a stage that has a result: few, as each is a label of a metric."""

Fault = tuple[str, Reason, str]
"""Stage, reason, and what is said of it in the answer."""


class StageObserver(Protocol):
    """Told how every stage of every request went, for metrics."""

    def stage_ended(self, client: str, stage: str, outcome: Outcome, milliseconds: float) -> None:
        """`skipped`: there was no time left to begin."""
        ...

    def noted(self, client: str, stage: str, reason: Reason) -> None:
        """The answer lacks something although the stage has a result."""
        ...


class Runner:
    """One request's. A `strict` one raises what a stage raises, for callers that should see faults, not answers."""

    def __init__(self, client: str, deadline: Deadline, observer: StageObserver | None = None, strict: bool = False):
        self.deadline = deadline
        self.milliseconds: dict[str, float] = {}  # of the stages that have a result
        self.faults: list[str] = []  # why the others have none, in their order
        self.errors: dict[str, Exception] = {}  # by stage
        self._client = client
        self._observer = observer
        self._strict = strict

    async def run(self, stage: str, call: Callable[P, Awaitable[T]], *args: P.args, **options: P.kwargs) -> T | None:
        """The stage's result; None, and a fault, when it fails or is not there at the deadline."""
        return await self.run_within(math.inf, stage, call, *args, **options)

    async def run_within(
        self, seconds: float, stage: str, call: Callable[P, Awaitable[T]], *args: P.args, **options: P.kwargs
    ) -> T | None:
        """As `run`, for a stage that has no more than `seconds`; a request without a deadline waits all the same."""
        began = self.deadline.clock()
        left_at_all = self.deadline.left()
        left = min(left_at_all, seconds)
        if left <= 0:
            self._missed(stage, "skipped", began, TimeoutError("no time left"), "no time left")
            return None
        try:
            if self.deadline.endless:  # there may be no event loop to time with
                result = await call(*args, **options)
            else:
                result = await asyncio.wait_for(call(*args, **options), left)
        except TimeoutError as error:
            why = "the deadline" if seconds >= left_at_all else f"its {1e3 * seconds:.0f} ms"
            self._missed(stage, "late", began, error, f"not done within {why}")
        except Exception as error:
            self._missed(stage, "failed", began, error, in_short(error))
        else:
            self._done(stage, began)
            return result
        return None

    def run_late(self, stage: str, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T | None:
        """As `run`, for what is done in place and in no time, so that it may begin after the deadline."""
        began = self.deadline.clock()
        try:
            result = call(*args, **options)
        except Exception as error:
            self._missed(stage, "failed", began, error, in_short(error))
            return None
        self._done(stage, began)
        return result

    def note(self, stage: str, reason: Reason, fault: str) -> None:
        """Something that the answer lacks although its stage has a result."""
        self.faults.append(f"{stage}: {fault}")
        if self._observer is not None:
            self._observer.noted(self._client, stage, reason)

    def _done(self, stage: str, began: float) -> None:
        self.milliseconds[stage] = self._told(stage, "done", began)

    def _missed(self, stage: str, outcome: Outcome, began: float, error: Exception, why: str) -> None:
        self._told(stage, outcome, began)
        if self._strict:
            raise error
        self.errors[stage] = error
        self.faults.append(f"{stage}: {why}")

    def _told(self, stage: str, outcome: Outcome, began: float) -> float:
        milliseconds = 1e3 * (self.deadline.clock() - began)
        if self._observer is not None:
            self._observer.stage_ended(self._client, stage, outcome, milliseconds)
        return milliseconds
