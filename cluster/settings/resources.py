"""What replicas and trainers ask of a node beside CPUs: shares of a GPU, and custom resources that nodes have by name.

Ray takes any name and waits for ever for one that no node has, so names are compared with the cluster's (`not_there`).
"""

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator

LEAST = 0.0001
"""Ray counts resources in steps of this size."""
_OWN = {
    "CPU": "CPUs have settings of their own",
    "GPU": "GPUs have settings of their own",
    "memory": "Ray keeps `memory` for itself, name a resource of your own",
    "object_store_memory": "Ray keeps `object_store_memory` for itself, name a resource of your own",
}


def _custom(amounts: dict[str, float]) -> dict[str, float]:
    for name, amount in amounts.items():
        if not name:
            raise ValueError("a resource needs a name")
        if name in _OWN:
            raise ValueError(f"{name}: {_OWN[name]}")
        if not LEAST <= amount < float("inf"):
            raise ValueError(f"{name}: expected a number from {LEAST} on")
    return amounts


def _of_gpus(amount: float) -> float:
    if not (amount == 0 or LEAST <= amount <= 1 or (amount > 1 and amount == int(amount))):
        raise ValueError("a fraction of one GPU, or a whole number of them: Ray has no other shares")
    return amount


CustomResources = Annotated[dict[str, float], AfterValidator(_custom)]
"""Name of a custom resource -> how much of it each replica or worker reserves."""
GpuShare = Annotated[float, AfterValidator(_of_gpus)]
"""GPUs that each replica or worker reserves: 0, a fraction of one, or a whole number."""


def not_there(asked: Iterable[str], nodes: Iterable[Mapping[str, float]]) -> str:
    """Which of the custom resources `asked` for no node has, beside those that some have; empty where none lacks.

    `nodes` have amounts by name, as `ray.nodes()` tells them or `ray.cluster_resources()` all together.
    """
    there = {name for node in nodes for name, amount in node.items() if amount > 0}
    missing = sorted(set(asked) - there)
    if not missing:
        return ""
    custom = sorted(name for name in there - set(_OWN) if not name.startswith("node:"))
    named = ", ".join(f"`{name}`" for name in missing)
    return f"no node has {named}, nodes have {', '.join(f'`{name}`' for name in custom) or 'no custom resource'}"
