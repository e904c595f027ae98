"""Request and response types of the HTTP API. Unknown fields are errors, so that a misspelt one is never ignored."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

Id = Annotated[int, Strict()] | Annotated[str, Strict()]
"""Which of the two, and how large, is the project's contract (serving/http/contract.py)."""


class Body(BaseModel):
    """Base of every request body."""

    model_config = ConfigDict(extra="forbid")


class QueryPin(Body):
    """A pin the walk starts from; `weight` defaults to the client's `request_weight`."""

    pin_id: Id
    weight: float | None = Field(None, gt=0, le=1e6, allow_inf_nan=False)


class RecommendationRequest(Body):
    """Who asks, and from where the walk starts."""

    user_id: Id | None = Field(None, description="omit for an anonymous visitor")
    query_pins: list[QueryPin] = Field(default_factory=list, max_length=256)
    filter: dict[str, Any] | None = Field(
        None,
        description="only pins that match: `{attribute: price, <=: 20}`, `{and: [...]}`, `{or: [...]}`, `{not: {...}}`",
        examples=[{"and": [{"attribute": "price", ">=": 5, "<": 20}, {"attribute": "brand", "in": ["a", "b"]}]}],
    )
    exclude: list[Id] = Field(default_factory=list, max_length=10_000, description="pins never to answer with")
    personalization: Annotated[bool, Strict()] = Field(
        True, description="false: answered and logged as if nobody had said who asks"
    )
    locale: str | None = Field(None, description="of a user who is not in the users table")
    limit: Annotated[int, Strict()] | None = Field(None, ge=1, le=500, description="default: the client's answer size")
    explain: Annotated[bool, Strict()] = False
    order: Literal["ranked", "visit_count"] = Field(
        "ranked", description="`visit_count` answers in the order without a model: the control arm of an experiment"
    )
    experiment: str = Field("", max_length=64, description="a label that is logged with the request")
    at: datetime | None = Field(None, description="pretend that it is this moment (simulation and tests)")


class QueryVisits(BaseModel):
    """How often the walk from one query pin reached a pin."""

    pin_id: Id
    visits: int


class FoundBy(BaseModel):
    """What one source of candidates says of a pin, and the query pin, topic or board that led it there."""

    source: str
    rank: int = Field(description="in the source, from 0")
    score: float = Field(description="the source's own")
    query_pin: Id | None = None
    topic: str | None = None
    board: Id | None = None


class LogOddsParts(BaseModel):
    """Why an action has its probability p: log(p / (1 - p)) = baseline + all of `inputs` + others."""

    baseline: float = Field(description="of a request and a pin of which nothing is known")
    inputs: dict[str, float] = Field(description="the inputs that moved it most (integrated gradients), largest first")
    others: float = Field(description="what is left: all other inputs together")


class Explanation(BaseModel):
    """Why a pin stands where it stands: at each stage its score, its rank (from 0) and what moved it most.

    What a stage did not score lacks its part. From `full_rank` to the pin's position it was the policy, and `explored`.
    """

    visit_score: float = Field(description="what orders candidates without a model: visit count, or fused ranks")
    visit_rank: int = Field(description="among the candidates, by that")
    found_by: list[FoundBy] = Field(description="the sources that found the pin")
    reached_from: list[QueryVisits] = Field(description="by the walk")
    lightweight_score: float | None = None
    lightweight_rank: int | None = Field(None, description="among the survivors of the lightweight stage")
    lightweight_top_features: dict[str, float] = Field(default_factory=dict, description="TreeSHAP, in margin units")
    full_score: float | None = Field(None, description="the utility")
    full_rank: int | None = Field(None, description="among the same survivors, by utility")
    probabilities: dict[str, float] = Field(default_factory=dict)
    utility_parts: dict[str, float] = Field(
        default_factory=dict, description="the client's weight x probability, by action; they add up to `full_score`"
    )
    full_log_odds: dict[str, LogOddsParts] = Field(default_factory=dict, description="by action")
    explored: bool = Field(False, description="drawn at random for its position")


class RankedPin(BaseModel):
    """One pin of the answer, best first."""

    pin_id: Id
    score: float
    explanation: Explanation | None = None


class StageReport(BaseModel):
    """What one source of candidates, or one stage, took, kept and cost; `popular` also fills up what others lack."""

    stage: str = Field(description="a source's name, `lightweight` or `full`")
    version: str | None = None
    received: int
    kept: int
    milliseconds: float


class RecommendationResponse(BaseModel):
    """The answer; `degraded` names every stage that it lacks and why, or is empty."""

    request_id: str
    client: str
    pins: list[RankedPin]
    source: str = Field(description="the sources that found candidates, joined by +")
    versions: dict[str, str | None]
    experiments: list[str] | None = Field(
        None, description="the arms in force, each as `experiment/arm`; absent where the request is in no experiment"
    )
    stages: list[StageReport]
    degraded: str = ""
    personalization: bool | None = Field(
        None, description="false where the request or its user turned it off: nothing of the user was used or logged"
    )
    removed: dict[str, int] | None = Field(
        None, description="with `explain`: how many candidates each policy step took out of the slate"
    )
    milliseconds: float


class Event(Body):
    """What a user did with a pin. `event_id` makes a repeated delivery harmless."""

    event_id: str = Field(min_length=1, max_length=128, description="yours, and the same if you send it again")
    user_id: Id
    pin_id: Id
    action: str = Field(description="one of the project's `actions`")
    client: str | None = Field(None, description="the surface it happened on")
    request_id: str | None = Field(None, description="of the answer that showed the pin: what training learns from")
    occurred_at: datetime = Field(description="with its time zone")


class EventBatch(Body):
    """Events to store; the answer comes only when they are on disk. One that is no event is refused alone."""

    events: list[Annotated[Any, Field(json_schema_extra={"$ref": "#/components/schemas/Event"})]] = Field(
        min_length=1, max_length=1000
    )


class Refusal(BaseModel):
    """An event that was not stored."""

    row: int = Field(description="in the batch, from 0")
    event_id: str
    reason: str = Field(description="`field: what is wrong`")


class EventReceipt(BaseModel):
    """How many events were stored durably, which were refused and why, and which name pins that nobody knows yet."""

    accepted: int
    refused: list[Refusal] = Field(default_factory=list)
    not_in_graph: list[Id] = Field(
        default_factory=list, description="pins of stored events that count once a build knows them; the first ten"
    )
