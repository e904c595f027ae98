"""How much room the world leaves: visit-count order against a perfect ranking of the same candidates. No Ray, no HTTP.

`python -m apps.world.oracle --seed 0` walks as each client does, over the graph and the history from before day 0,
and takes the action model's own probabilities. It bounds what any ranker can reach; nothing is trained or
compared here.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.project import SHIPPED_CLIENTS
from apps.world.actions import ActionModel, Showing, habit
from apps.world.plan import MIX, RANKED, SimulationPlan, schedule
from apps.world.simulate import query_pins
from apps.world.world import World
from cluster.graph.csr import Graph
from cluster.settings.clients import Client, load_clients
from cluster.walk.walker import Walker, WalkParams


@dataclass(frozen=True)
class Room:
    """One client: the judged action's expected rate per pin shown, for three orders of the same candidates."""

    client: str
    action: str
    answers: int
    candidates: float  # mean
    visit_count: float
    at_random: float
    perfect: float

    @property
    def lift(self) -> float:
        """Perfect order over visit-count order, minus 1."""
        return self.perfect / self.visit_count - 1.0


def room(world: World, clients: Mapping[str, Client], requests: int = 500, seed: int = 0) -> list[Room]:
    """The room of each client, over `requests` visits drawn as the simulator draws them."""
    model = ActionModel(world.latent)
    graph = Graph.from_edges(world.edges.board, world.edges.pin, len(world.board_ids), len(world.pin_ids))
    walker = Walker(graph)
    past = world.history
    last: dict[int, int] = {}
    for user, pin in zip(past.user.tolist(), past.pin.tolist(), strict=True):
        last[user] = pin
    plan = SimulationPlan(np.arange(len(world.user_ids)), requests, 0.0, 1.0, (RANKED,), MIX, seed)
    found: dict[str, list[tuple[int, np.ndarray]]] = {}
    for visit in schedule(world, plan):
        client = clients[visit.client]
        rng = np.random.default_rng([seed, visit.number])
        asked = query_pins(world, rng, visit.client, visit.user, last.get(visit.user))
        own = np.flatnonzero(past.user == visit.user)
        starts, weights = _starts(client, model, past.pin[own], past.action[own], -past.day[own], asked)
        result = walker.walk_indices(
            starts,
            weights,
            params=_params(client),
            seed=visit.number,
            exclude=np.unique(past.pin[own]).astype(np.int32),
        )
        if len(result.pins) < client.sizes.answer:
            continue
        pins = result.pins.astype(np.int64)
        size = client.sizes.answer
        zero = np.zeros(len(pins), np.int64)
        action = model.actions.index(habit(visit.client).primary)
        # ranked by the chance in the first slot: the order of slots is the same for every pin
        first = model.probabilities(Showing(visit.client, visit.user, pins, visit.day, asked, zero, zero))[:, action]
        orders = (pins[:size], rng.permutation(pins)[:size], pins[np.argsort(-first)[:size]])
        rates = [
            model.probabilities(Showing(visit.client, visit.user, order, visit.day, asked, zero[:size]))[
                :, action
            ].mean()
            for order in orders
        ]
        found.setdefault(visit.client, []).append((len(pins), np.array(rates)))
    rooms = []
    for name, seen in found.items():
        rates = np.mean([row for _, row in seen], axis=0)
        candidates = float(np.mean([n for n, _ in seen]))
        rooms.append(Room(name, habit(name).primary, len(seen), candidates, *map(float, rates)))
    return sorted(rooms, key=lambda row: list(MIX).index(row.client))


def _params(client: Client) -> WalkParams:
    walk = client.walk
    return WalkParams(
        steps=walk.steps,
        restart=walk.restart,
        n_p=walk.n_p,
        n_v=walk.n_v,
        top_k=client.sizes.walk,
        min_visits=walk.min_visits,
        popularity_discount=walk.popularity_discount,
        hub=walk.hub,
    )


def _starts(
    client: Client, model: ActionModel, pins: np.ndarray, actions: np.ndarray, ages: np.ndarray, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Query pins and weights as the client's settings say: int32[Q], float32[Q]. `ages` in days."""
    query = client.query
    weight = dict[int, float]()
    if query.source in ("user", "both"):
        for pin, code, age in zip(pins.tolist(), actions.tolist(), ages.tolist(), strict=True):
            worth = query.actions.get(model.actions[code], 0.0) * 0.5 ** (24.0 * age / query.half_life_hours)
            weight[pin] = weight.get(pin, 0.0) + worth
    for pin in asked.tolist():
        weight[pin] = weight.get(pin, 0.0) + query.request_weight
    best = sorted((p for p, w in weight.items() if w > 0), key=lambda p: -weight[p])[: query.max_pins]
    return np.array(best, np.int32), np.array([weight[p] for p in best], np.float32)


def main() -> None:
    """Print one line per client; `--json` writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rooms = room(World.make(given.seed), load_clients(SHIPPED_CLIENTS), given.requests, given.seed)
    print(
        f"{'client':<15}{'action':<12}{'answers':>8}{'candidates':>12}{'random':>9}{'visits':>9}{'perfect':>9}{'lift':>8}"
    )
    for row in rooms:
        print(
            f"{row.client:<15}{row.action:<12}{row.answers:>8}{row.candidates:>12.0f}{row.at_random:>9.4f}"
            f"{row.visit_count:>9.4f}{row.perfect:>9.4f}{100 * row.lift:>+7.0f}%"
        )
    if given.json:
        given.json.write_text(json.dumps({row.client: vars(row) | {"lift": row.lift} for row in rooms}, indent=2))


if __name__ == "__main__":
    main()
