"""The walk over a graph in parts behind Serve handles: asked at the same time, waited for no longer than there is time.

A part that fails, is late or refuses costs the answer that part's visits, and is told. No decision about the walk.
"""

import asyncio
import math
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import TypeVar

from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from cluster.walk.sharded import ANSWER
from serving.candidates.query import Query
from serving.candidates.walk_part import gathered, warm
from serving.funnel.stages import Overloaded
from serving.request.found import FoundPins

T = TypeVar("T")


class ScatteredWalk:
    """The source `walk` over a deployment for each part."""

    def __init__(self, parts: Mapping[str, DeploymentHandle]):
        """Handles by name, in the order of the parts."""
        self._parts = parts
        warm()

    async def generate(self, query: Query, budget: int, seconds: float) -> FoundPins:
        """What the parts find in `seconds`, as one; `lacks` names those that did not answer.

        Raises what the first of them raised, or TimeoutError, where none answered; Overloaded if one of them was.
        """
        ask = (query.ask, query.catalog.version, max(budget, ANSWER), seconds)
        calls = {
            name: asyncio.ensure_future(answered(part.generate.remote(*ask))) for name, part in self._parts.items()
        }
        try:
            await asyncio.wait(calls.values(), timeout=None if math.isinf(seconds) else seconds)
            faults = {name: _fault(call) for name, call in calls.items()}
        finally:
            for call in calls.values():
                call.cancel()
        found = [call.result() for name, call in calls.items() if faults[name] is None]
        told = [fault for fault in faults.values() if fault is not None]
        if not found:
            raise next((fault for fault in told if isinstance(fault, Overloaded)), told[0])
        whole = gathered(query, budget, found)
        missing = [name for name, fault in faults.items() if fault is not None]
        if not missing:
            return whole
        return replace(whole, lacks=f"{len(missing)} of {len(calls)} shards did not answer: {', '.join(missing)}")


def _fault(call: "asyncio.Future[FoundPins]") -> BaseException | None:
    """Why a call has no result; None where it has one."""
    if not call.done():
        return TimeoutError("late")
    return asyncio.CancelledError() if call.cancelled() else call.exception()


async def answered(response: Awaitable[T]) -> T:
    """A stage's answer. Raises Overloaded where it has more to do than it takes."""
    try:
        return await response
    except BackPressureError as error:
        raise Overloaded("too many requests at once; try again") from error
