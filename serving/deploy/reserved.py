"""How many replicas of what an application has, what they reserve, and whether a cluster's nodes have room for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.settings.resources import not_there


@dataclass(frozen=True)
class Replicas:
    """Replicas of one deployment, and what each of them reserves."""

    name: str
    count: int
    cpus: float
    gpus: float = 0.0
    custom: Mapping[str, float] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """What `Deployment.options` takes."""
        reserved: dict[str, Any] = {"num_cpus": self.cpus}
        if self.gpus:
            reserved["num_gpus"] = self.gpus
        if self.custom:
            reserved["resources"] = dict(self.custom)
        return {"name": self.name, "num_replicas": self.count, "ray_actor_options": reserved}

    @property
    def reserved(self) -> dict[str, float]:
        """What one of them reserves, by Ray's names."""
        return {"CPU": self.cpus, "GPU": self.gpus, **self.custom}


def without_room(wanted: Sequence[Replicas], nodes: Iterable[Mapping[str, float]]) -> str:
    """One line that names what finds no room on nodes of such resources (`CPU`, `GPU`, custom); empty where all do.

    The most particular first (custom resources, GPUs, CPUs), each on the first node that has room.
    """
    left = [dict(node) for node in nodes]
    custom = {kind for one in wanted for kind in one.custom}
    absent = not_there(custom, left)
    kinds = ["CPU", "GPU", *sorted(custom)]
    have = {kind: sum(node.get(kind, 0.0) for node in left) for kind in kinds}
    homeless: dict[str, int] = {}
    for one in sorted(wanted, key=lambda some: (-sum(some.custom.values()), -some.gpus, -some.cpus)):
        for _ in range(one.count):
            if not _take(one.reserved, left):
                homeless[one.name] = homeless.get(one.name, 0) + 1
    if not homeless:
        return ""
    need = {kind: sum(one.reserved.get(kind, 0.0) * one.count for one in wanted) for kind in kinds}
    told = [kind for kind in kinds if kind == "CPU" or need[kind] > 0]
    names = ", ".join(f"{count} of `{name}`" for name, count in homeless.items())
    asking = [one.name for one in wanted if absent and not_there(one.custom, [have])]
    why = f" ({absent}: see `resources` of {', '.join(asking)})" if absent else ""
    return (
        f"no room for {names}{why}: all replicas reserve {_amounts(need, told)}, the nodes have {_amounts(have, told)} "
        f"({len(left)} nodes): lower `cpus` or the numbers of replicas under `args`, or add nodes"
    )


def _take(amounts: Mapping[str, float], nodes: Iterable[dict[str, float]]) -> bool:
    """Take the amounts from the first node that has all of them; False where none has."""
    for node in nodes:
        if all(node.get(kind, 0.0) >= amount - 1e-9 for kind, amount in amounts.items()):
            for kind, amount in amounts.items():
                node[kind] = node.get(kind, 0.0) - amount
            return True
    return False


def _amounts(amounts: Mapping[str, float], kinds: Sequence[str]) -> str:
    named = {"CPU": "CPUs", "GPU": "GPUs"}
    return " and ".join(f"{amounts[kind]:g} {named.get(kind, f'`{kind}`')}" for kind in kinds)
