"""Clients for a project with actions of its own: weights of actions that it lacks go, and what is left must rank.

The shipped clients weigh save, click, closeup, long_click and hide. Knows nothing of files.
"""

from collections.abc import Mapping, Sequence

from cluster.settings.clients import Client


def with_weights_of(client: Client, actions: Sequence[str]) -> Client:
    """The client without the weights of actions that are not in `actions`."""
    return _replaced(client, *(_kept(weights, actions) for weights in _weights(client)))


def fitted(client: Client, actions: Sequence[str], negative: Sequence[str]) -> Client:
    """`with_weights_of`; where no weight above 0 is left, each action that is not `negative` weighs 1."""
    own = {action: 1.0 for action in actions if action not in negative}
    kept = [_kept(weights, actions) for weights in _weights(client)]
    return _replaced(client, *(left if _positive(left) else {**left, **own} for left in kept))


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
