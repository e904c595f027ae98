"""From the body of a request to the question that the funnel answers: who, when, which id, which seed."""

import hashlib
import uuid
from datetime import UTC, datetime

from fastapi import HTTPException

from cluster.attributes.filters import Filter
from cluster.control.choices import NONE_MADE, UserChoice
from cluster.settings.clients import Client
from serving.http.api import RecommendationRequest
from serving.request.ask import UserState, WalkAsk


class Questions:
    """`simulation` lets requests say when they are made, and gives the same id and seed to the same request."""

    def __init__(self, simulation: bool):
        self._simulation = simulation

    def moment(self, client: Client, body: RecommendationRequest) -> datetime:
        """When the request is made. Raises 422 for what the contract of the body cannot say."""
        if client.query.source == "request" and not body.query_pins:
            raise HTTPException(422, f"client '{client.name}' walks from the request's query_pins: send at least one")
        if body.at is None:
            return datetime.now(UTC)
        if not self._simulation:
            raise HTTPException(422, "at: only served with serving.simulation: true in pinfunnel.yaml")
        return body.at

    def identity(self, client: str, body: RecommendationRequest) -> tuple[str, int]:
        """The request's id and the seed of its walk: at random.

        In a simulation both follow from the request, so that a run can be repeated; the seed only from what a walk
        depends on, so that the arms of an experiment walk alike.
        """
        if body.at is None or not self._simulation:
            request_id = uuid.uuid4().hex
            return request_id, int(request_id[:15], 16)
        walk = body.model_dump_json(include={"user_id", "query_pins", "at"})
        return _digest(client, body.model_dump_json(), 16), int(_digest(client, walk, 7), 16)


def by_nobody(body: RecommendationRequest) -> RecommendationRequest:
    """The request without who asks: whatever comes behind the door cannot use or log what it does not have."""
    return body.model_copy(update={"user_id": None})


def question(
    client: str,
    body: RecommendationRequest,
    moment: datetime,
    seed: int,
    state: UserState,
    only: Filter | None = None,
    choice: UserChoice = NONE_MADE,
    known_since: int = 0,
) -> WalkAsk:
    """The body as the walker sees it; `only` is its filter, read. What is older than `known_since` was forgotten."""
    state = state.since(known_since)
    return WalkAsk(
        client=client,
        user_id=body.user_id,
        query_pins=tuple((pin.pin_id, pin.weight) for pin in body.query_pins),
        exclude=tuple(body.exclude),
        locale=body.locale,
        at=int(moment.timestamp() * 1e6),
        seed=seed,
        recents=state.recents,
        hidden=state.hidden,
        shown=state.shown,
        known_since=known_since,
        hidden_boards=choice.boards,
        hidden_topics=choice.topics,
        filter=only,
    )


def _digest(client: str, told: str, size: int) -> str:
    return hashlib.blake2b(f"{client} {told}".encode(), digest_size=size).hexdigest()
