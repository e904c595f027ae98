"""All sources of candidates against the walk alone, each in a closed loop of its own.

What are further sources worth, if the funnel scores no more candidates for them?

For each seed: a world, its graph, and two arms that begin with nothing else: the walk, and all sources that the world
has data for. Each arm has its own clients, logs and models. Its users come, lightweight rankers are trained, they come
again, lightweight rankers and a full ranker are trained, all behind the product's own gate; then users held out come.
Both arms see the same users, days and draws, so that a user's figures are paired.

The quotas of the sources are shares of what the walk finds; the walk gives up so much that the mean number of
candidates stays what it was. That is replayed from answers at full quotas, and counted again in the logs of the last
round. Without a model one arm has the order of visits, the other reciprocal rank fusion: the first round compares them.

    python -m apps.bench.learning.sources_online [--quick] [--seeds 51 52]
"""

import argparse
import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from apps.bench.learning.arms import DRAWN, Size, copied, open_world, visits
from apps.bench.machine import machine
from apps.project import Opened
from apps.reports.arms import lifts, merged, shipped_utilities
from apps.world.in_process import URL, InProcess
from apps.world.plan import Arm, SimulationPlan, split_users
from apps.world.simulate import Simulator
from apps.world.traffic import Traffic
from apps.world.world import World
from cluster import session
from cluster.data.schema import IMPRESSED
from cluster.settings.clients import WALK, Client, SourceSettings
from cluster.store.log_parts import readable_batches
from cluster.store.logs import LogStore
from training.full.train import train_full_ranker
from training.lightweight.train import train_all_lightweight
from training.log.arrays import SOURCES, ListColumn, LoggedSources
from training.quotas.learn import read_seen
from training.quotas.seen import SeenCandidates

SHARES: Mapping[str, float] = {"similar": 0.15, "boards": 0.15, "content": 0.1, "recent": 0.1, "popular": 0.05}
"""Quotas beside the walk, as shares of what the walk alone finds: set before the first run, for all clients alike."""
ALL = "all"
LOGGED = ("client", "stage", *SOURCES)
ROUNDS = ("cold", "warm", "later")
"""Without a model; behind first lightweight rankers; behind all models, users whom they never saw."""
REPLAYED = 150
"""Answers at full quotas that quotas follow from."""
SIZE = Size(cold=2_000, warm=2_000, measured=2_000)
QUICK = Size(1_500, 400, 200, 400, 300, 100)


def run(quick: bool = False, seeds: tuple[int, ...] = (51, 52)) -> dict[str, Any]:
    """Lifts over the walk by round and client, all seeds' users resampled together; what each arm served."""
    torch.set_num_threads(1)  # as fast for so small a network, and it never waits for a core that others use
    size = QUICK if quick else SIZE
    parts: dict[str, dict[str, Traffic]] = {}
    served = {}
    with session.session(dashboard=False), tempfile.TemporaryDirectory() as scratch:
        for seed in seeds[:1] if quick else seeds:
            parts[str(seed)], served[str(seed)] = one_seed(seed, size, Path(scratch) / str(seed))
    return {"machine": machine(), "size": vars(size), **judged(parts), "served": served}


def judged(parts: Mapping[str, Mapping[str, Traffic]]) -> dict[str, Any]:
    """From traffic by seed and round: lifts of the last round of all seeds and of each, and of the rounds before."""
    weights = shipped_utilities()
    together = {name: lifts(merged([part[name] for part in parts.values()]), WALK, weights) for name in ROUNDS}
    last = ROUNDS[-1]
    return {
        "online": together.pop(last),
        "online_by_seed": {seed: lifts(part[last], WALK, weights)[ALL] for seed, part in parts.items()},
        "rounds_before": {name: found[ALL] for name, found in together.items()},
    }


def one_seed(seed: int, size: Size, folder: Path) -> tuple[dict[str, Traffic], dict[str, Any]]:
    """The traffic of both arms by round, and what each arm served by its own logs and gate."""
    world, opened = open_world(seed, size, folder, {})
    train, _ = split_users(world)
    answers = min(REPLAYED, size.cold)
    arms = {WALK: opened.clients, ALL: equal_clients(world, opened, folder / "quotas", train, answers, seed)}
    traffic: dict[str, list[Traffic]] = {name: [] for name in ROUNDS}
    served = {}
    for name, clients in arms.items():
        of_rounds, served[name] = closed_loop(world, copied(opened, folder / name, clients), name, size, seed)
        for of_round, counts in of_rounds.items():
            traffic[of_round].append(counts)
        shutil.rmtree(folder / name)
    return {name: merged(of_arms, along="arms") for name, of_arms in traffic.items()}, served


def equal_clients(
    world: World, opened: Opened, folder: Path, users: np.ndarray, answers: int, seed: int
) -> dict[str, Client]:
    """The clients with all sources, and quotas that make the mean number of candidates what the walk alone finds."""
    full = {name: _asking(client, full_quotas(client)) for name, client in opened.clients.items()}
    wide = copied(opened, folder, full)
    visits(world, wide, SimulationPlan(users, answers, 0.0, 1.0, (DRAWN,), dict.fromkeys(full, 0.2), seed + 3))
    logs = wide.new_process().logs
    equal = {n: _asking(client, equal_quotas(read_seen(wide.project, client, logs))) for n, client in full.items()}
    shutil.rmtree(folder)
    return equal


def full_quotas(client: Client) -> dict[str, int]:
    """By source: as many of the walk as before, and the most that `SHARES` of them can be."""
    most = client.sizes.walk
    return {WALK: most, **{name: round(share * most) for name, share in SHARES.items()}}


def equal_quotas(seen: SeenCandidates) -> dict[str, int]:
    """The largest quota of the walk, the first source, with which a request has no more candidates than by walk alone.

    In the mean over the requests; the others' quotas are `SHARES` of what the walk found in the mean.
    """
    walk = seen.rank[:, 0]
    found = walk >= 0
    quotas = {name: max(1, round(SHARES[name] * found.sum() / seen.requests)) for name in seen.sources[1:]}
    others = seen.rank[:, 1:]
    fixed = ((others >= 0) & (others < np.array(list(quotas.values())))).any(axis=1)
    alone = np.sort(walk[found & ~fixed])
    room = max(int(found.sum() - fixed.sum()), 0)
    return {WALK: max(1, int(alone[room] if room < len(alone) else walk.max() + 1)), **quotas}


def _asking(client: Client, quotas: Mapping[str, int]) -> Client:
    return client.model_copy(update={"sources": {name: SourceSettings(quota=n) for name, n in quotas.items()}})


def closed_loop(
    world: World, arm: Opened, name: str, size: Size, seed: int
) -> tuple[dict[str, Traffic], dict[str, Any]]:
    """One arm from its first visit to the last: traffic by round, and what it served in the last one."""
    process = arm.new_process()
    learns = (arm.project, arm.clients, process.store, process.logs)
    train, held_out = split_users(world)
    traffic = {}
    even = dict.fromkeys(arm.clients, 0.2)
    came = (Arm(name, "ranked"),)
    later = 5.0
    with InProcess(arm) as app:
        users = Simulator(world, URL, transport=app.transport)
        traffic["cold"] = users.run(SimulationPlan(train, size.cold, 0.0, 2.0, came, seed=seed))
        app.flush()
        first = train_all_lightweight(*learns)
        app.swap()
        traffic["warm"] = users.run(SimulationPlan(train, size.warm, 2.0, 2.0, came, seed=seed + 1))
        app.flush()
        second = train_all_lightweight(*learns)
        full = train_full_ranker(*learns, num_workers=0)
        app.swap()
        traffic["later"] = users.run(SimulationPlan(held_out, size.measured, later, 2.0, came, even, seed + 2))
    reasons = {
        "first": {client: outcome.reason for client, outcome in first.items()},
        "second": {client: outcome.reason for client, outcome in second.items()},
        "full": full.reason,
    }
    counted = answers_since(process.logs, world.moment(later))
    told = {client: {**counts, "quotas": arm.clients[client].quotas} for client, counts in counted.items()}
    return traffic, {"gate": reasons, "clients": told}


def answers_since(logs: LogStore, since: datetime) -> dict[str, dict[str, Any]]:
    """By client, from the first day on: mean candidates scored, and by source the shares of the pins shown.

    `shown` are those that the source found, `alone` those that no other did.
    """
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for path in logs.serving_files(since=since).paths:
        for batch in readable_batches(path, 256, LOGGED):
            table = pa.Table.from_batches([batch])
            stages, sources = ListColumn(table.column("stage")), LoggedSources(table)
            for row, client in enumerate(table.column("client").to_pylist()):
                found = sources.of(row)
                if found is None:
                    continue
                by = found.rank[stages[row] >= IMPRESSED] >= 0
                alone = by & (by.sum(axis=1, keepdims=True) == 1)
                sums[client].update(requests=1, candidates=len(found.rank), shown=len(by))
                for column, name in enumerate(found.names):
                    sums[client].update({f"shown {name}": by[:, column].sum(), f"alone {name}": alone[:, column].sum()})
    return {
        client: {
            "candidates": counts["candidates"] / counts["requests"],
            "sources": {
                name.removeprefix("shown "): {
                    "shown": float(counts[name] / counts["shown"]),
                    "alone": float(counts[name.replace("shown", "alone")] / counts["shown"]),
                }
                for name in counts
                if name.startswith("shown ")
            },
        }
        for client, counts in sums.items()
    }


def main(argv: list[str] | None = None) -> None:
    """Print the figures as JSON."""
    ask = argparse.ArgumentParser(prog="python -m apps.bench.learning.sources_online", description=__doc__)
    ask.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    ask.add_argument("--seeds", type=int, nargs="+", default=[51, 52], help="worlds")
    given = ask.parse_args(argv)
    print(json.dumps(run(given.quick, tuple(given.seeds)), indent=2))


if __name__ == "__main__":
    main()
