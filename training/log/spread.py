"""Where the look into a log runs that comes before its join: here while the log is small, else in Ray's workers."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

LOCAL_ROWS = 100_000
"""Rows up to which starting workers costs more than the work."""


def in_tasks(function: Callable[..., Any], *pieces: Sequence[Any]) -> Iterator[Any]:
    """`map` by Ray's workers, two pieces a CPU under way at a time. References among the pieces stand for their values.

    Raises what the function raises.
    """
    import ray

    remote = ray.remote(num_cpus=1)(function)
    most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    running: deque[Any] = deque()
    for piece in zip(*pieces, strict=True):
        if len(running) == most:
            yield result(running.popleft())
        running.append(remote.remote(*piece))
    while running:
        yield result(running.popleft())


def shared(function: Callable[..., Sequence[Any]], *arguments: Any, parts: int) -> list[Any]:
    """References to the `parts` values that one task returns: none of them comes to this process by itself."""
    import ray

    references: list[Any] = ray.remote(num_cpus=1, num_returns=parts)(function).remote(*arguments)
    return references


def result(reference: Any) -> Any:
    """The value of a reference, or what was raised instead of it."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
