"""Clients for a project with actions of its own: weights of actions that it lacks go, and what is left must rank.

The shipped clients weigh save, click, closeup, long_click and hide. Knows nothing of files.
"""

from collections.abc import Mapping, Sequence

from cluster.settings.clients import Client
from cluster.settings.project import DEFAULT_ACTIONS

WORTH = 1.0
COST = -2.0
"""What an own action, an own negative action counts for: as save and hide do for the shipped homefeed."""


def with_weights_of(client: Client, actions: Sequence[str]) -> Client:
    """The client without the weights of actions that are not in `actions`."""
    return _replaced(client, *(_kept(weights, actions) for weights in _weights(client)))


def fitted(client: Client, actions: Sequence[str], negative: Sequence[str]) -> Client:
    """`with_weights_of`, and weights for actions that the shipped clients cannot know: 1, as utility of `negative` -2.

    Where no weight above 0 is left, every action that is not negative weighs 1.
    """
    own = [action for action in actions if action not in DEFAULT_ACTIONS]
    liked = {action: WORTH for action in own if action not in negative}
    disliked = {action: COST for action in own if action in negative}
    everything = {action: WORTH for action in actions if action not in negative}

    def completed(weights: Mapping[str, float]) -> dict[str, float]:
        kept = {**liked, **_kept(weights, actions)}
        return kept if _positive(kept) else {**kept, **everything}

    query, labels, utility = (completed(weights) for weights in _weights(client))
    return _replaced(client, query, labels, {**disliked, **utility})


def said(actions: Sequence[str], negative: Sequence[str]) -> str:
    """What `fitted` does for a project, in one line; empty when the shipped clients know all of its actions."""
    own = [action for action in actions if action not in DEFAULT_ACTIONS]
    if not own:
        return ""
    liked = ", ".join(action for action in own if action not in negative)
    disliked = ", ".join(action for action in own if action in negative)
    parts = [f"{liked} weighs {WORTH:g}"] * bool(liked) + [f"the utility of {disliked} is {COST:g}"] * bool(disliked)
    return f"the shipped clients do not know these actions: {', and '.join(parts)} (write client files to change it)"


def _weights(client: Client) -> tuple[Mapping[str, float], Mapping[str, float], Mapping[str, float]]:
    return client.query.actions, client.labels.action_weights, client.utility


def _kept(weights: Mapping[str, float], actions: Sequence[str]) -> dict[str, float]:
    return {action: weight for action, weight in weights.items() if action in actions}


def _positive(weights: Mapping[str, float]) -> bool:
    return any(weight > 0 for weight in weights.values())


def _replaced(client: Client, query: dict[str, float], labels: dict[str, float], utility: dict[str, float]) -> Client:
    return client.model_copy(
        update={
            "query": client.query.model_copy(update={"actions": query}),
            "labels": client.labels.model_copy(update={"action_weights": labels}),
            "utility": utility,
        }
    )
