"""The endpoint by which users' own choices are told. What follows from them is not decided here."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, Strict

from cluster.contract.ids import IdContract
from cluster.contract.text import text_fault
from cluster.control.choices import Choices, UserChoice
from serving.http.api import Body, Id
from serving.http.faults import field
from serving.http.guard import OF_A_BODY, needs
from serving.http.storing import stored

MOST = 1000
"""Boards, and topics, that one user may hide."""
TOPIC_BYTES = 256


class Hidden(Body):
    """Boards by their ids, topics by their names."""

    boards: list[Id] = Field(default_factory=list, max_length=MOST)
    topics: list[str] = Field(default_factory=list, max_length=MOST)


class ChoiceChange(Body):
    """What a user chose now; what is not given stays as it was."""

    user_id: Id
    personalization: Annotated[bool, Strict()] | None = Field(
        None, description="false: no request uses or logs who the user is, and events of the user are refused"
    )
    hide: Hidden = Field(default_factory=Hidden, description="no pin of these in any answer to the user")
    show: Hidden = Field(default_factory=Hidden, description="what was hidden before and is not any more")


class ChosenNow(BaseModel):
    """All that the user chose, now and before."""

    personalization: bool
    boards: list[Id]
    topics: list[str]


class UserChoices:
    """Hold from the user's next request on, in every process, and until they are changed or the user is forgotten."""

    def __init__(self, choices: Choices, ids: IdContract):
        self._choices = choices
        self._ids = ids

    def add_to(self, router: APIRouter) -> None:
        """The route."""
        router.add_api_route(
            "/v1/users/choices",
            self.choose,
            methods=["POST"],
            summary="What a user chose, at once",
            **needs("events", *OF_A_BODY, 503),
        )

    async def choose(self, body: ChoiceChange) -> ChosenNow:
        """Without any change it tells what is chosen."""
        self._check_ids(body)
        before = self._choices.of(body.user_id)
        for name in ("boards", "topics"):
            if len(getattr(before, name) | set(getattr(body.hide, name))) > MOST:
                raise field(f"hide.{name}", f"a user may hide at most {MOST}: show some of those again first")
        given = [{k: v for k, v in part.model_dump().items() if v} for part in (body.hide, body.show)]
        if body.personalization is None and not any(given):
            return _told(before)
        hide, show = given
        return _told(await stored(self._choices.choose, body.user_id, body.personalization, hide, show))

    def _check_ids(self, body: ChoiceChange) -> None:
        if reason := self._ids.fault(body.user_id):
            raise field("user_id", reason)
        for name, part in (("hide", body.hide), ("show", body.show)):
            for row, board in enumerate(part.boards):
                if reason := self._ids.fault(board):
                    raise field(f"{name}.boards.{row}", reason)
            for row, topic in enumerate(part.topics):
                if reason := text_fault(topic, TOPIC_BYTES):
                    raise field(f"{name}.topics.{row}", reason)


def _told(choice: UserChoice) -> ChosenNow:
    return ChosenNow(
        personalization=choice.personalization,
        boards=sorted(choice.boards, key=str),
        topics=sorted(choice.topics),
    )
