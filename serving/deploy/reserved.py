"""How many replicas of what an application has, what they reserve, and whether a cluster's nodes have room for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Replicas:
    """Replicas of one deployment, and what each of them reserves."""

    name: str
    count: int
    cpus: float
    gpus: float = 0.0

    def options(self) -> dict[str, Any]:
        """What `Deployment.options` takes."""
        reserved = {"num_cpus": self.cpus, **({"num_gpus": self.gpus} if self.gpus else {})}
        return {"name": self.name, "num_replicas": self.count, "ray_actor_options": reserved}


def without_room(wanted: Sequence[Replicas], nodes: Iterable[Mapping[str, float]]) -> str:
    """One line that names what finds no room on nodes of such resources (`CPU`, `GPU`); empty where all do.

    The largest first, each on the first node that has room.
    """
    left = [{"CPU": node.get("CPU", 0.0), "GPU": node.get("GPU", 0.0)} for node in nodes]
    have = {kind: sum(node[kind] for node in left) for kind in ("CPU", "GPU")}
    homeless: dict[str, int] = {}
    for one in sorted(wanted, key=lambda some: (-some.gpus, -some.cpus)):
        for _ in range(one.count):
            room = next((n for n in left if n["CPU"] >= one.cpus and n["GPU"] >= one.gpus), None)
            if room is None:
                homeless[one.name] = homeless.get(one.name, 0) + 1
                continue
            room["CPU"] -= one.cpus
            room["GPU"] -= one.gpus
    if not homeless:
        return ""
    cpus = sum(one.cpus * one.count for one in wanted)
    gpus = sum(one.gpus * one.count for one in wanted)
    reserved = f"{cpus:g} CPUs" + f" and {gpus:g} GPUs" * (gpus > 0)
    there = f"{have['CPU']:g} CPUs" + f" and {have['GPU']:g} GPUs" * (gpus > 0)
    names = ", ".join(f"{count} of `{name}`" for name, count in homeless.items())
    return (
        f"no room for {names}: all replicas reserve {reserved}, the nodes have {there} ({len(left)} nodes): "
        "lower `cpus` or the numbers of replicas under `args`, or add nodes"
    )
