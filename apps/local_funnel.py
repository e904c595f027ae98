"""A project's funnel in this process, without a server: for notebooks, and for files of answers (apps/batch)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apps.project import Opened, open_project
from cluster.attributes.filters import Filter
from cluster.contract.ids import IdContract
from cluster.control.choices import NONE_MADE, Choices
from cluster.control.forgotten import Forgotten
from cluster.errors import ConfigError
from cluster.kinds import GRAPH
from cluster.settings.attributes import attribute_kinds
from cluster.store.home import control_root
from serving.http.api import QueryPin, RecommendationRequest, RecommendationResponse
from serving.http.contract import check_request, filter_of, refused_of
from serving.http.questions import Questions, by_nobody, question
from serving.http.responses import to_response
from serving.request.answer import Answer
from serving.request.ask import Id, UserState

StateOf = Callable[[Id], UserState | None]
"""What is known of a user, by the name that the logs give; None where nothing is."""


@dataclass(frozen=True)
class LocalAnswer:
    """An answer, and the request as the funnel had it: without its user where that one wants nothing `personal`."""

    answer: Answer
    body: RecommendationRequest
    personal: bool


class LocalFunnel:
    """The published graph and models of a project, and every stage. Logs nothing. For one thread at a time."""

    def __init__(self, opened: Opened, state_of: StateOf | None = None) -> None:
        """`state_of`: what a user did lately where no server on this machine knows. Raises BundleError."""
        self.process = opened.new_process()
        self._watcher = self.process.watcher()
        self._watcher.poll()
        self._watcher.require(GRAPH)
        self._clients = opened.clients
        self._questions = Questions(simulation=True)  # a walk's seed follows from the request and its moment
        self._ids = IdContract(opened.project.ids)
        self._attributes = attribute_kinds(opened.project.attributes)
        control = control_root(opened.project.home, opened.project.control)
        self._choices = Choices(control)
        self._forgotten = Forgotten(control)
        self._state_of = state_of
        self._live = [(shard, self.process.state_reader(shard)) for shard in self.process.shards]

    def recommend(
        self,
        client: str,
        *,
        user_id: Id | None = None,
        query_pins: Sequence[Id] = (),
        at: datetime | None = None,
        **asked: Any,
    ) -> RecommendationResponse:
        """What a server would answer at the moment `at`; the fields are those of the HTTP API. Raises ConfigError."""
        pins = [QueryPin(pin_id=pin, weight=None) for pin in query_pins]
        body = RecommendationRequest(user_id=user_id, query_pins=pins, at=at or datetime.now(UTC), **asked)
        found = self.answer(client, body)
        return to_response(found.answer, "", body.explain, 0.0, found.personal)

    def explain(self, client: str, **asked: Any) -> RecommendationResponse:
        """`recommend` with why each pin stands where it stands."""
        return self.recommend(client, **asked, explain=True)

    def walk(self, client: str, *, limit: int = 25, **asked: Any) -> RecommendationResponse:
        """The order of the sources alone, without a ranker."""
        return self.recommend(client, limit=limit, order="visit_count", **asked)

    def refresh(self) -> None:
        """Load what has been published since."""
        self._watcher.poll()

    def answer(self, client: str, body: RecommendationRequest) -> LocalAnswer:
        """As the server's endpoint, without a deadline or a queue. `body.at` must be there. Raises ConfigError."""
        if client not in self._clients:
            raise ConfigError(f"unknown client '{client}'; clients: {', '.join(sorted(self._clients))}")
        only = self._checked(client, body)
        choice = self._choices.of(body.user_id)
        personal = body.personalization and choice.personalization
        if not personal:
            body, choice = by_nobody(body), NONE_MADE
        assert body.at is not None
        _, seed = self._questions.identity(client, body)
        since = self._forgotten.before(body.user_id)
        ask = question(client, body, body.at, seed, self._state(body.user_id), only, choice, since)
        answer = self.process.live_funnel.recommend_now(
            ask, by_visits=body.order == "visit_count", limit=body.limit, explain=body.explain
        )
        return LocalAnswer(answer, body, personal)

    def _checked(self, client: str, body: RecommendationRequest) -> Filter | None:
        with refused_of(ConfigError):
            check_request(body, self._ids)
            self._questions.moment(self._clients[client], body)
            return filter_of(body, self._attributes)

    def _state(self, user: Id | None) -> UserState:
        if user is None:
            return UserState()
        name = self.process.pseudonyms.of(user)
        for shard, reader in self._live:
            if shard.has(name) and (live := reader.of(name)) is not None:
                return live
        known = None if self._state_of is None else self._state_of(name)
        return known or UserState()


def open_funnel(path: str | Path = "pinfunnel.yaml") -> LocalFunnel:
    """`pinfunnel.open("pinfunnel.yaml")`: the project's published graph and models in this process.

    Raises ConfigError for the file, BundleError where no graph is published.
    """
    return LocalFunnel(open_project(path))
