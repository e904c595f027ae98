"""From what stands in the funnel view's form to two answers: in the learned order, and in that of visit counts."""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from apps.web.funnel import FunnelColumns, funnel_columns
from apps.web.kept_out import KeptOut, kept_out
from apps.web.orders import TwoOrders, two_orders
from apps.web.pins import PinCards
from cluster.catalog.catalog import Catalog
from cluster.contract.ids import Id, IdContract, plain_id
from serving.deploy.process import Process
from serving.http.api import QueryPin, RecommendationRequest
from serving.http.inside import Inside
from serving.policy.withheld import Withheld
from serving.request.answer import Answer
from serving.request.deadline import Deadline

DEPTH = 25
"""Pins shown of an order."""
LOOKED_AT = 500
USERS = 8
"""Users that are offered, of the first `LOOKED_AT`."""
LEAST_ACTS = 5
AFTER = 3_600_000_000
"""In a simulation a user is looked at so many microseconds after the last act that the graph knows."""


class WrongField(Exception):
    """What is written into a field cannot be asked; the text says which and why."""


@dataclass(frozen=True)
class Asked:
    """A form that can be asked: ids as the project has them."""

    client: str
    user: Id | None
    pins: tuple[Id, ...]

    @property
    def seed(self) -> int:
        """The same for the same form, so that looking again shows the same walk."""
        told = f"{self.client} {self.user!r} {self.pins!r}"
        return int(hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=7).hexdigest(), 16)


@dataclass(frozen=True)
class FunnelPage:
    """What came of it."""

    asked: Asked
    at: datetime
    columns: FunnelColumns
    orders: TwoOrders
    kept_out: tuple[KeptOut, ...]
    milliseconds: float


class FunnelDesk:
    """Asks the funnel as the endpoint does, and nothing of it is logged."""

    def __init__(self, inside: Inside, process: Process):
        self._inside = inside
        self._catalogs = process.catalogs
        self._process = process
        self._withheld: Withheld | None = None
        self._ids = IdContract(inside.project.ids)
        self._offered: tuple[str, tuple[Id, ...]] = ("", ())

    def read(self, form: Mapping[str, str]) -> Asked:
        """The fields `client`, `user` and `pin` (several by commas). Raises WrongField."""
        clients = self._inside.clients
        client = form.get("client") or self.usual()
        if client not in clients:
            raise WrongField(f"client: there is none of that name; there are {', '.join(clients)}")
        user = self._id("user", form["user"].strip()) if form.get("user", "").strip() else None
        parts = [part.strip() for part in form.get("pin", "").split(",")]
        pins = tuple(self._id("pin", part) for part in parts if part)
        if clients[client].query.source == "request" and not pins:
            raise WrongField(f"pin: {client} walks from the pins of a request: name one")
        if user is None and not pins:
            raise WrongField("user: name a user, or a pin to walk from")
        return Asked(client, user, pins)

    def first(self, client: str | None = None) -> Asked:
        """What to show to whoever names nothing: somebody with a history, or the pin saved most."""
        name = client or self.usual()
        users = self.users()
        if self._inside.clients[name].query.source != "request" and users:
            return Asked(name, users[0], ())
        catalog = self._catalogs.current
        pin = catalog.graph.pin_ids.ids_of(np.array([int(catalog.graph.pin_degree.argmax())]))[0]
        return Asked(name, None, (plain_id(pin),))

    def usual(self) -> str:
        """The client to show: of those that start from what users did, the one that answers with most pins."""
        clients = self._inside.clients.values()
        of_user = [client for client in clients if client.query.source != "request"] or list(clients)
        return max(of_user, key=lambda client: client.sizes.answer).name

    def users(self) -> tuple[Id, ...]:
        """Some with a history, to choose from."""
        catalog = self._catalogs.current
        if self._offered[0] != catalog.version:
            ids = catalog.users.ids.ids_of(np.arange(min(LOOKED_AT, len(catalog.users)), dtype=np.int32))
            known = (plain_id(one) for one in ids)
            active = [one for one in known if len(catalog.users.row(one).pins) >= LEAST_ACTS]
            self._offered = (catalog.version, tuple(active[:USERS]))
        return self._offered[1]

    async def look(self, asked: Asked) -> FunnelPage:
        """Both answers. Raises HTTPException 429 and 503."""
        moment = self._moment(asked)
        began = time.perf_counter()
        new = await self._answer(asked, moment, explain=True)
        took = (time.perf_counter() - began) * 1e3
        old = await self._answer(asked, moment, explain=False)
        return await asyncio.to_thread(self._page, asked, moment, old, new, took)

    def _page(self, asked: Asked, moment: datetime, old: Answer, new: Answer, took: float) -> FunnelPage:
        catalog: Catalog = self._catalogs.get(new.candidates.graph_version)
        cards = PinCards(catalog)
        client = self._inside.clients[asked.client]
        if new.ask.arm is not None:
            client = new.ask.arm.applied_to(client)
        columns = funnel_columns(new, client, catalog, cards, DEPTH)
        orders = two_orders(old, new, cards, columns.interests)
        if self._withheld is None:
            self._withheld = Withheld(self._process.removals)
        query = self._process.sources.query(new.ask, new.candidates.graph_version)
        return FunnelPage(asked, moment, columns, orders, kept_out(query, self._withheld, cards), took)

    async def _answer(self, asked: Asked, moment: datetime, explain: bool) -> Answer:
        """The learned order, explained; or the other one."""
        body = RecommendationRequest(
            user_id=asked.user,
            query_pins=[QueryPin(pin_id=pin) for pin in asked.pins],
            explain=explain,
            order="ranked" if explain else "visit_count",
        )
        if not self._inside.answering.personal(body):
            raise WrongField("user: this user has turned personalization off, so nothing of them may be looked at")
        deadline = Deadline.after(self._inside.project.serving.deadline_ms / 1e3)
        return await self._inside.answering.answer(asked.client, body, moment, asked.seed, None, deadline)

    def _moment(self, asked: Asked) -> datetime:
        now = datetime.now(UTC)
        if not self._inside.project.serving.simulation:
            return now
        acts = self._catalogs.current.users.row(asked.user).occurred_at
        return datetime.fromtimestamp((int(acts.max()) + AFTER) / 1e6, UTC) if len(acts) else now

    def _id(self, field: str, text: str) -> Id:
        value: Id = text
        if self._ids.kind == "int64":
            try:
                value = int(text)
            except ValueError:
                raise WrongField(f"{field}: ids of this project are whole numbers, not {text[:40]!r}") from None
        if fault := self._ids.fault(value):
            raise WrongField(f"{field}: {fault}")
        return value
