"""How many machines a funnel needs, from what it is to do and what one core does. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from apps.plan.curves import Curves
from apps.plan.machines import Machine

MOST_NODES = 2**31 - 1
"""Pins, and boards, of one graph: indices are int32 (cluster/graph/csr.py)."""
MOST_EDGES = 2**40
"""Offsets have 40 bits (cluster/graph/packing.py)."""
LINKED = 100_000_000
"""Edges up to which a build writes links (`graph.links: auto`)."""
KEPT_FREE = 0.15
"""Share of a machine's memory that is left to the system and the object store."""
SWAPPED = 2
"""Graphs that are mapped while one replaces another."""
LARGE_LOG = 10e12
"""Bytes a day of the serving log from which on it is said to break: a hundred disks a month."""
GIB = 2**30
HOURS = 730.0
"""Of a month."""


@dataclass(frozen=True)
class Demand:
    """What the funnel is to do."""

    pins: int
    boards: int
    edges: int
    qps: float
    candidates: int = 2000
    survivors: int = 500
    steps: int = 100_000
    busy: float = 0.5  # share of the cores in use at the peak; waiting grows beyond
    spare: int = 1  # machines that may be lost at the peak


@dataclass(frozen=True)
class CapacityNeed:
    """What that takes."""

    demand: Demand
    machine: Machine | None  # None: the graph fits on none
    machines: int
    cores: float
    ms: dict[str, float]  # CPU of a request, by part
    graph_bytes: float
    edge_bytes: float  # of it; the rest are ids, features and similar pins
    machine_bytes: float  # used on each machine
    build_core_hours: float
    build_bytes: float  # over all machines that build
    log_bytes_day: float
    breaks: tuple[str, ...]  # what does not hold at this size, the worst first

    @property
    def dollars_month(self) -> float:
        """Of the machines that serve."""
        return self.machines * self.machine.dollars * HOURS if self.machine else float("nan")

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "dollars_month": self.dollars_month if self.machine else None}


def plan(demand: Demand, curves: Curves, machines: Sequence[Machine]) -> CapacityNeed:
    """The cheapest machines of one kind, each with the whole graph, that do it."""
    fixed, lightweight, full = curves.rank_ms(demand.candidates, demand.survivors)
    parts = {
        "walk": curves.walk_ms(demand.edges, demand.steps),
        "features and mixing": fixed,
        "lightweight": lightweight,
        "full": full,
        "HTTP, Serve, log": curves.server_ms,
    }
    cores = demand.qps * sum(parts.values()) / 1e3 / demand.busy
    links = curves.link_bytes if demand.edges <= LINKED else 0.0
    edges = demand.edges * (curves.edge_bytes + links)
    graph = edges + (demand.pins + demand.boards) * curves.node_bytes
    chosen, count, used = _chosen(machines, cores, demand.spare, graph, curves)
    build_bytes = demand.edges * curves.build_bytes
    log = demand.qps * 86_400 * demand.candidates * curves.log_bytes
    return CapacityNeed(
        demand=demand,
        machine=chosen,
        machines=count,
        cores=cores,
        ms=parts,
        graph_bytes=graph,
        edge_bytes=edges,
        machine_bytes=used,
        build_core_hours=demand.edges * curves.build_seconds / 3600,
        build_bytes=build_bytes,
        log_bytes_day=log,
        breaks=tuple(_breaks(demand, graph, log, machines, curves)),
    )


def _chosen(
    machines: Sequence[Machine], cores: float, spare: int, graph: float, curves: Curves
) -> tuple[Machine | None, int, float]:
    """The cheapest kind that holds two graphs, else one; how many of it, and the bytes used on each."""
    for graphs in (SWAPPED, 1):
        priced = []
        for each in machines:
            count = max(ceil(cores / each.cores), 1) + spare
            used = graphs * graph + curves.base_bytes + each.cores * curves.replica_bytes  # replicas share the graph
            if used <= each.gib * GIB * (1 - KEPT_FREE):
                priced.append((count * each.dollars, count, used, each))
        if priced:
            _, count, used, machine = min(priced, key=lambda row: row[:3])
            return machine, count, used
    return None, 0, 0.0


def _breaks(demand: Demand, graph: float, log: float, machines: Sequence[Machine], curves: Curves) -> list[str]:
    """What stands in the way, the worst first."""
    found = []
    for what, count in (("pins", demand.pins), ("boards", demand.boards)):
        if count > MOST_NODES:
            found.append(f"{count:,} {what} are more than one graph can have ({MOST_NODES:,}): no bundle can be built")
    if demand.edges > MOST_EDGES:
        found.append(f"{demand.edges:,} edges are more than one graph can have ({MOST_EDGES:,})")
    largest = max(each.gib for each in machines) * GIB * (1 - KEPT_FREE)
    if graph > largest:
        found.append(
            f"the graph ({size(graph)}) is larger than the memory of the largest machine: prune it, keep fewer "
            "similar pins (similarity.neighbours), or name a larger one by --machines"
        )
    elif SWAPPED * graph > largest:
        found.append(
            f"two graphs ({size(SWAPPED * graph)}), as there are while one replaces another, are larger than the "
            "memory of the largest machine: each swap reads from disk; prune, or name a larger one by --machines"
        )
    if log > LARGE_LOG:
        found.append(f"the serving log grows by {size(log)} a day, as every request logs all its candidates")
    if demand.edges > 10 * curves.largest:
        found.append(
            f"no graph of more than {curves.largest:,} edges was walked: the milliseconds of a walk are extrapolated "
            f"{demand.edges / curves.largest:,.0f}-fold"
        )
    return found


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.0f} TB" if count >= 10 else f"{count:.1f} TB"
