"""What every node of the joined cluster must see before anything is deployed: the project's home, and its keys."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from cluster.errors import ConfigError
from cluster.settings.project import Project

SECONDS = 60.0
"""For all nodes to look: the first task on a node starts a process there."""


def require_on_every_node(project: Project, look: Callable[[list[str]], Mapping[str, list[bool]]]) -> None:
    """`look` says by node which of some paths are there. Raises ConfigError that names the setting and the node.

    A home that every node has a folder of, but not the same one, would split the logs without a word, so a file is made
    in it that the others must see. So of `local`, beside a home in an object store: orders of one node hold on all.
    """
    name = "home" if project.local is None else "local"
    probe = Path(project.local_home) / f".seen-by-all-{secrets.token_hex(8)}"
    probe.parent.mkdir(parents=True, exist_ok=True)
    probe.touch()
    wanted = {
        str(probe): f"{name}: {project.local_home} is not the same folder there: let it be a mount that every node sees"
    }
    if project.access.keys is not None:
        wanted[project.access.keys] = (
            f"access.keys: {project.access.keys} is not there: let it lie where every node sees it, as below `home`"
        )
    try:
        faults = [
            f"node {node}: {fault}"
            for node, seen in look(list(wanted)).items()
            for (_, fault), there in zip(wanted.items(), seen, strict=True)
            if not there
        ]
    finally:
        with suppress(OSError):
            probe.unlink()
    if faults:
        raise ConfigError("\n".join(faults))


def working_nodes() -> dict[str, dict[str, float]]:
    """Resources of each node of the joined cluster that runs replicas, by the node's address."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    return {n["NodeManagerAddress"]: n["Resources"] for n in alive if n["Resources"].get("CPU", 0.0) > 0}


def look_on_every_node(paths: list[str]) -> dict[str, list[bool]]:
    """Which of `paths` each working node of the joined cluster sees. Raises ConfigError where one does not answer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ids = {n["NodeManagerAddress"]: n["NodeID"] for n in ray.nodes() if n["Alive"]}
    looking = ray.remote(num_cpus=0)(_there)
    asked = {
        node: looking.options(scheduling_strategy=NodeAffinitySchedulingStrategy(ids[node], soft=False)).remote(paths)
        for node in working_nodes()
    }
    try:
        return dict(zip(asked, ray.get(list(asked.values()), timeout=SECONDS), strict=True))
    except ray.exceptions.GetTimeoutError:
        slow = [node for node, ref in asked.items() if not ray.wait([ref], timeout=0)[0]]
        raise ConfigError(f"node {', '.join(slow)}: no answer within {SECONDS:.0f} s: is it alive?") from None


def _there(paths: list[str]) -> list[bool]:
    return [Path(path).exists() for path in paths]
