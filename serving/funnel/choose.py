"""What an answer shows: the policy over the slate, then exploration. What each user was shown is remembered here."""

from collections.abc import Mapping

import numpy as np

from cluster.settings.clients import Client
from serving.funnel.explore import NOTHING, explore
from serving.policy.pipeline import Policy
from serving.policy.registry import PolicyRequest
from serving.policy.seen import Seen
from serving.policy.slate import dropped_of, rows_of, slate_of
from serving.request.answer import Answer
from serving.request.ask import WalkAsk
from serving.request.per_arm import Derive, PerArm


class Chooser:
    """Of all clients, each with its policy, and with that of an arm where a request has one."""

    def __init__(self, clients: Mapping[str, Client], derive: Derive | None = None):
        self._of = PerArm(clients, lambda client: (client, Policy.of(client)), derive)
        self._seen = Seen()

    def client(self, ask: WalkAsk) -> Client:
        """The client as this request has it. Raises ConfigError where the request's arm does not fit it."""
        return self._of.of(ask)[0]

    def seen_too_often(self, ask: WalkAsk) -> np.ndarray:
        """Ids of pins that the user was shown as often as the client allows, object[m]."""
        rules = self.client(ask).policy
        since = max(ask.at - int(rules.seen_hours * 3.6e9), ask.known_since)
        return self._seen.often(ask.client, ask.user_id, since, rules.seen_times, ask.shown)

    def choose(self, answer: Answer, size: int, by_visits: bool, explores: bool = True) -> None:
        """Fills in what is shown, and why the rest is not; an answer without ranking explores nothing."""
        ask = answer.ask
        client, policy = self._of.of(ask)
        candidates = answer.candidates
        seen = np.array(ask.seen, dtype=object)
        hidden = np.array(ask.barred(), dtype=object)
        slate = slate_of(candidates, answer.ranked, answer.scored, by_visits)
        ranking = not by_visits and answer.ranked is not None
        request = PolicyRequest(size, rows_of(candidates, hidden), rows_of(candidates, seen), candidates, answer.ranked)
        slate = policy.apply(slate, request, arrange=ranking)
        answer.removed = dict(slate.removed)
        slots = client.sizes.explore if ranking and explores else 0
        share = client.sizes.explore_dropped
        dropped = NOTHING
        if slots and share and answer.ranked is not None:
            dropped = policy.apply(dropped_of(candidates, answer.ranked), request, arrange=False).pin
        explored = explore(slate.pin, size, slots, ask.seed, dropped, share)
        answer.shown = explored.shown
        answer.explored = explored.drawn
        answer.explored_rate = explored.rate
        answer.dropped_rate = explored.dropped_rate

    def remember(self, answer: Answer) -> None:
        """Note what the user was shown, where the client asks for that."""
        ask = answer.ask
        answer.remembered = bool(self.client(ask).policy.seen_times)
        if answer.remembered:
            pins = answer.candidates.pin_ids[answer.shown].tolist()
            self._seen.note(ask.client, ask.user_id, ask.at, pins)
