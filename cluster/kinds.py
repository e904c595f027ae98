"""The kinds of bundles there are, by the names under which a store keeps them: `<kind>/<version>/`.

A new kind of model gets its name here; who builds and who opens it both import it.
"""

GRAPH = "graph"
"""Graph, pin and user tables (cluster.catalog); everything else is trained on one and served with one."""

FULL = "full"
"""The full ranker, one for all clients (training.full)."""


def lightweight(client: str) -> str:
    """The kind of one client's lightweight ranker (training.lightweight)."""
    return f"lightweight/{client}"


def quotas(client: str) -> str:
    """The kind of one client's learned quotas of its sources (training.quotas)."""
    return f"quotas/{client}"
