"""The endpoint that takes pins and saves as they come. When they are recommended is not decided here."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from cluster.fresh.log import FreshLog
from serving.http.api import Body
from serving.http.guard import OF_A_BODY, needs
from serving.http.storing import stored

MOST = 1000


class FreshPinBatch(Body):
    """Pins that are new, or were saved. One that is no pin is refused alone."""

    pins: list[Any] = Field(
        min_length=1,
        max_length=MOST,
        description="`pin_id`, `boards` that it was saved to, and any columns of the pins input (docs/fresh.md)",
        examples=[[{"pin_id": 7, "boards": [3, 4], "topics": ["cats"], "created_at": "2026-01-31T12:00:00Z"}]],
    )


class PinRefusal(BaseModel):
    """A pin that was not stored."""

    row: int = Field(description="in the batch, from 0")
    reason: str = Field(description="`column: what is wrong`")


class PinReceipt(BaseModel):
    """How many pins were stored durably, and which were refused and why."""

    accepted: int
    refused: list[PinRefusal] = Field(default_factory=list)


class FreshPinsDoor:
    """Reads pins row by row; they are on disk once it answers."""

    def __init__(self, log: FreshLog):
        self._log = log

    def add_to(self, router: APIRouter) -> None:
        """The route."""
        summary = "Take new pins and saves, durably; they are recommended soon"
        who = needs("admin", *OF_A_BODY, 503)
        router.add_api_route("/v1/pins", self.take, methods=["POST"], summary=summary, **who)

    async def take(self, body: FreshPinBatch) -> PinReceipt:
        """Sending one again does no harm: a pin counts by its newest row, an edge counts once."""
        return await stored(self._stored, body.pins)

    def _stored(self, rows: list[Any]) -> PinReceipt:
        kept, refused = self._log.contract.read(rows, datetime.now(UTC))
        self._log.append(kept)
        told = [PinRefusal(row=each.row, reason=each.reason[:300]) for each in refused]
        return PinReceipt(accepted=len(kept), refused=told)
