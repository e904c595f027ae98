"""Users of the synthetic world at work: they ask over HTTP, look at the answers, act, and come back later.

Drives the API like a real front end with bounded concurrency. A user's requests run one after the other and in order of
simulated time; different users overlap. Draws depend on the plan's seed alone, not on which answer came first.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta

import httpx
import numpy as np

from apps.world.actions import ActionModel, Showing
from apps.world.front_end import FrontEnd, FrontEndError
from apps.world.plan import MIX, SimulationPlan, Visit, schedule
from apps.world.traffic import Traffic
from apps.world.world import World
from cluster.progress import Progress, silent
from serving.http.api import Event, QueryPin, RecommendationRequest, RecommendationResponse

BESIDE_A_PIN = ("related_pins", "ads")
SEARCH_PINS = 5
NEGATIVE = ("hide",)


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
        self.world = world
        self.model = ActionModel(world.latent)
        self._url = url
        self._keys = dict(keys or {})
        self._transport = transport
        self._index = {pin: at for at, pin in enumerate(world.pin_ids.tolist())}
        self._seen: dict[int, Counter[int]] = defaultdict(Counter)
        past = world.history
        negative = [self.model.actions.index(name) for name in NEGATIVE]
        kept = ~np.isin(past.action, negative)
        self._last = dict(zip(past.user[kept].tolist(), past.pin[kept].tolist(), strict=True))  # the newest stays

    def run(self, plan: SimulationPlan, progress: Progress = silent) -> Traffic:
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

    async def _drive(self, plan: SimulationPlan, progress: Progress) -> Traffic:
        visits = schedule(self.world, plan)
        mix = plan.mix or MIX
        arms = tuple(arm.name for arm in plan.arms)
        traffic = Traffic.empty(tuple(mix), arms, self.model.actions, plan.users)
        row = {int(user): at for at, user in enumerate(plan.users)}
        slots = asyncio.Semaphore(plan.concurrency)
        earlier = dict[int, asyncio.Task[None]]()
        untold: set[int] = set()
        done = 0
        began = time.perf_counter()

        async def visit(step: Visit, before: asyncio.Task[None] | None) -> None:
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

        keys = self._keys
        transport = self._transport
        async with FrontEnd(self._url, keys, transport=transport) as front, asyncio.TaskGroup() as group:
            for step in visits:
                await slots.acquire()  # an earlier visit of this user already has its slot: no deadlock
                earlier[step.user] = group.create_task(visit(step, earlier.get(step.user)))
        traffic.seconds = time.perf_counter() - began
        traffic.retried = front.retried
        return traffic

    async def _visit(
        self, front: FrontEnd, plan: SimulationPlan, step: Visit, traffic: Traffic, row: int, untold: set[int]
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
            step.client,
            step.user,
            pins,
            step.day,
            query,
            np.array([self._seen[step.user][pin] for pin in pins.tolist()], np.int64),
        )
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

    def _events(self, step: Visit, answer: RecommendationResponse, pins: np.ndarray, did: np.ndarray) -> list[Event]:
        shown_at = self.world.moment(step.day)
        user = self.world.user_ids[step.user : step.user + 1].tolist()[0]
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
    pins = world.latent.pins
    users = world.latent.users
    if client in BESIDE_A_PIN:
        somebodys = int(world.edges.pin[rng.integers(len(world.edges.pin))])
        return np.array([somebodys if last is None else last], np.int64)
    if client == "search":
        interest = users.interests[user]
        pool = np.flatnonzero(pins.main == rng.choice(len(interest), p=interest / interest.sum()))
        keys = pins.appeal[pool] + rng.gumbel(size=len(pool))
        return pool[np.argsort(-keys)[:SEARCH_PINS]]
    return np.empty(0, np.int64)
