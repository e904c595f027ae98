"""Users of the synthetic world at work: they ask over HTTP, look at the answers, act, and come back later.

Drives the API like a real front end with bounded concurrency. A user's requests run one after the other and in order of
simulated time; different users overlap. Draws depend on the plan's seed alone, not on which answer came first.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import httpx
import numpy as np

from apps.world.actions import ActionModel, Showing
from apps.world.front_end import FrontEnd, FrontEndError
from apps.world.traffic import Traffic
from apps.world.world import World
from cluster.errors import ConfigError
from cluster.progress import Progress, silent
from serving.http.api import Event, QueryPin, RecommendationRequest, RecommendationResponse

MIX: Mapping[str, float] = {"homefeed": 0.15, "related_pins": 0.15, "notifications": 0.2, "search": 0.2, "ads": 0.3}
"""Share of requests by client: more where an answer is short, so that every client gathers actions."""
BESIDE_A_PIN = ("related_pins", "ads")
SEARCH_PINS = 5
NEGATIVE = ("hide",)


@dataclass(frozen=True)
class Arm:
    """One side of an experiment: its label in the logs and the order it asks for."""

    name: str
    order: Literal["ranked", "visit_count"]


VISIT_COUNT = Arm("visit_count", "visit_count")
RANKED = Arm("ranked", "ranked")


@dataclass(frozen=True)
class Plan:
    """A stretch of traffic. Each user's requests of one client go through `arms` in turn."""

    users: np.ndarray  # world indices
    requests: int
    start_day: float
    days: float
    arms: tuple[Arm, ...] = (RANKED,)
    mix: Mapping[str, float] | None = None  # share of requests by client; default MIX
    seed: int = 0
    concurrency: int = 8


@dataclass(frozen=True)
class _Visit:
    number: int
    user: int
    client: str
    arm: Arm
    day: float


def split_users(world: World, held_out: float = 0.4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of (train users, held-out users), drawn at random and disjoint."""
    order = np.random.default_rng([seed, 7]).permutation(len(world.user_ids))
    cut = len(order) - round(held_out * len(order))
    return np.sort(order[:cut]), np.sort(order[cut:])


class Simulator:
    """The world's users. What they have seen and last acted on lasts from one `run` to the next."""

    def __init__(
        self,
        world: World,
        url: str,
        keys: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ):
        """`url` of the server; `keys`: api key by client; `transport` replaces the network in tests."""
        self.world, self.model = world, ActionModel(world.latent)
        self._url, self._keys, self._transport = url, dict(keys or {}), transport
        self._index = {pin: at for at, pin in enumerate(world.pin_ids.tolist())}
        self._seen: dict[int, Counter[int]] = defaultdict(Counter)
        past, negative = world.history, [self.model.actions.index(name) for name in NEGATIVE]
        kept = ~np.isin(past.action, negative)
        self._last = dict(zip(past.user[kept].tolist(), past.pin[kept].tolist(), strict=True))  # the newest stays

    def run(self, plan: Plan, progress: Progress = silent) -> Traffic:
        """Drive the plan to its end; returns what was shown and done.

        Raises FrontEndError when the server refuses or stays away, ConfigError for an impossible plan.
        """
        try:
            return asyncio.run(self._drive(plan, progress))
        except* FrontEndError as group:
            first: BaseException = group
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise first from None

    async def _drive(self, plan: Plan, progress: Progress) -> Traffic:
        visits, mix = schedule(self.world, plan), plan.mix or MIX
        arms = tuple(arm.name for arm in plan.arms)
        traffic = Traffic.empty(tuple(mix), arms, self.model.actions, plan.users)
        row = {int(user): at for at, user in enumerate(plan.users)}
        slots, earlier = asyncio.Semaphore(plan.concurrency), dict[int, asyncio.Task[None]]()
        untold: set[int] = set()
        done, began = 0, time.perf_counter()

        async def visit(step: _Visit, before: asyncio.Task[None] | None) -> None:
            nonlocal done
            try:
                if before is not None:
                    await before
                if step.user in untold:  # the server knows what a user did before it answers them again
                    untold.discard(step.user)
                    await front.deliver()
                await self._visit(front, plan, step, traffic, row[step.user], untold)
                done += 1
                progress("requests", done / len(visits))
            finally:
                slots.release()

        keys, transport = self._keys, self._transport
        async with FrontEnd(self._url, keys, transport=transport) as front, asyncio.TaskGroup() as group:
            for step in visits:
                await slots.acquire()  # an earlier visit of this user already has its slot: no deadlock
                earlier[step.user] = group.create_task(visit(step, earlier.get(step.user)))
        traffic.seconds, traffic.retried = time.perf_counter() - began, front.retried
        return traffic

    async def _visit(
        self, front: FrontEnd, plan: Plan, step: _Visit, traffic: Traffic, row: int, untold: set[int]
    ) -> None:
        rng = np.random.default_rng([plan.seed, self.world.seed, step.number])
        query = query_pins(self.world, rng, step.client, step.user, self._last.get(step.user))
        began = time.perf_counter()
        answer = await front.ask(
            step.client,
            RecommendationRequest(
                user_id=self.world.user_ids[step.user : step.user + 1].tolist()[0],
                query_pins=[QueryPin(pin_id=pin, weight=None) for pin in self.world.pin_ids[query].tolist()],
                order=step.arm.order,
                experiment=step.arm.name,
                limit=None,
                at=self.world.moment(step.day),
            ),
        )
        elapsed = 1000.0 * (time.perf_counter() - began)
        pins = self._known(answer)
        showing = Showing(
            step.client, step.user, pins, step.day, query,
            np.array([self._seen[step.user][pin] for pin in pins.tolist()], np.int64),
        )  # fmt: skip
        did = self.model.sample(rng, showing)
        at = traffic.clients.index(step.client), [arm.name for arm in plan.arms].index(step.arm.name), row
        traffic.requests[at] += 1
        traffic.shown[at] += len(pins)
        traffic.did[at] += did.sum(axis=0)
        traffic.expected[at] += self.model.probabilities(showing).sum(axis=0)
        traffic.note_answer(elapsed, answer.source, answer.degraded, answer.versions)
        self._seen[step.user].update(pins.tolist())
        if events := self._events(step, answer, pins, did):
            untold.add(step.user)
            await front.tell(step.client, events)

    def _known(self, answer: RecommendationResponse) -> np.ndarray:
        try:
            return np.array([self._index[pin.pin_id] for pin in answer.pins], np.int64)
        except KeyError as error:
            raise FrontEndError(
                f"request {answer.request_id}: the answer names pin {error}, not of this world"
            ) from None

    def _events(
        self, step: _Visit, answer: RecommendationResponse, pins: np.ndarray, did: np.ndarray
    ) -> list[Event]:  # fmt: skip
        shown_at, user = self.world.moment(step.day), self.world.user_ids[step.user : step.user + 1].tolist()[0]
        events = []
        for slot, code in zip(*np.nonzero(did), strict=True):
            action = self.model.actions[code]
            if action not in NEGATIVE:
                self._last[step.user] = int(pins[slot])
            events.append(
                Event(
                    event_id=f"{answer.request_id}-{slot}-{action}",
                    user_id=user,
                    pin_id=answer.pins[slot].pin_id,
                    action=action,
                    client=step.client,
                    request_id=answer.request_id,
                    occurred_at=shown_at + timedelta(seconds=2 + 3 * int(slot)),
                )
            )
        return events


def query_pins(world: World, rng: np.random.Generator, client: str, user: int, last: int | None) -> np.ndarray:
    """Indices of the pins that the front end names in a request, int64[Q]; `last`: what the user last acted on."""
    pins, users = world.latent.pins, world.latent.users
    if client in BESIDE_A_PIN:
        somebodys = int(world.edges.pin[rng.integers(len(world.edges.pin))])
        return np.array([somebodys if last is None else last], np.int64)
    if client == "search":
        interest = users.interests[user]
        pool = np.flatnonzero(pins.main == rng.choice(len(interest), p=interest / interest.sum()))
        keys = pins.appeal[pool] + rng.gumbel(size=len(pool))
        return pool[np.argsort(-keys)[:SEARCH_PINS]]
    return np.empty(0, np.int64)


def schedule(world: World, plan: Plan) -> list[_Visit]:
    """Who comes when, to which client, in which arm, in order of time. Active users come more often."""
    if not len(plan.users) or not plan.arms or plan.requests < 1 or plan.days <= 0:
        raise ConfigError("a traffic plan needs users, arms, at least one request, and a length above 0 days")
    mix, rng = plan.mix or MIX, np.random.default_rng([plan.seed, 11])
    activity = world.latent.users.activity[plan.users]
    user = rng.choice(plan.users, plan.requests, p=activity / activity.sum())
    names, share = list(mix), np.array(list(mix.values()), np.float64)
    client = rng.choice(len(names), plan.requests, p=share / share.sum())
    day = np.sort(plan.start_day + plan.days * rng.random(plan.requests))
    turn: dict[tuple[int, int], int] = {}
    visits = []
    for number, (who, where) in enumerate(zip(user.tolist(), client.tolist(), strict=True)):
        at = turn.setdefault((who, where), int(rng.integers(len(plan.arms))))
        turn[who, where] = at + 1
        visits.append(_Visit(number, who, names[where], plan.arms[at % len(plan.arms)], float(day[number])))
    return visits
