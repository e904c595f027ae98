"""The endpoints that take pins and boards down, and put them back. What is withheld then is not decided here."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator

from cluster.contract.ids import IdContract
from cluster.control.removals import Removals, Removed
from serving.http.api import Body, Id
from serving.http.faults import field
from serving.http.guard import OF_A_BODY, needs
from serving.http.storing import stored

MOST = 10_000
TOLD_PINS = 10


class Named(Body):
    """Which items."""

    pins: list[Id] = Field(default_factory=list, max_length=MOST)
    boards: list[Id] = Field(
        default_factory=list, max_length=MOST, description="with the pins that lie on no board but removed ones"
    )

    @model_validator(mode="after")
    def _something(self) -> "Named":
        if not self.pins and not self.boards:
            raise ValueError("name at least one of pins and boards")
        return self


class TakenDown(BaseModel):
    """What is taken down now, all in all."""

    pins: int
    boards: int
    not_in_graph: list[Id] = Field(
        default_factory=list,
        description="named pins that the graph lacks; it counts for them all the same; the first ten",
    )


class Takedown:
    """Holds in every process once it is answered, and until it is undone."""

    def __init__(
        self,
        removals: Removals,
        ids: IdContract,
        unknown_pins: Callable[[Sequence[Id]], list[Id]],
    ):
        self._removals = removals
        self._ids = ids
        self._unknown_pins = unknown_pins

    def add_to(self, router: APIRouter) -> None:
        """The routes."""
        for path, endpoint, summary in (
            ("/v1/pins/remove", self.remove, "Take pins and boards down, at once"),
            ("/v1/pins/restore", self.restore, "Put back what was taken down"),
        ):
            who = needs("admin", *OF_A_BODY, 503)
            router.add_api_route(path, endpoint, methods=["POST"], summary=summary, **who)

    async def remove(self, body: Named) -> TakenDown:
        """From the next request on they are in no answer, of any process, source or later graph."""
        return await self._done(self._removals.remove, body)

    async def restore(self, body: Named) -> TakenDown:
        """As if they had never been taken down; a pin of a board that is still removed stays away with it."""
        return await self._done(self._removals.restore, body)

    async def _done(self, write: Callable[[Sequence[Id], Sequence[Id]], Removed], body: Named) -> TakenDown:
        for name, ids in (("pins", body.pins), ("boards", body.boards)):
            for row, each in enumerate(ids):
                if reason := self._ids.fault(each):
                    raise field(f"{name}.{row}", reason)
        now = await stored(write, body.pins, body.boards)
        unknown = self._unknown_pins(tuple(dict.fromkeys(body.pins)))
        return TakenDown(pins=len(now.pins), boards=len(now.boards), not_in_graph=unknown[:TOLD_PINS])
