"""A kind that somebody holds keeps what serves: what is trained meanwhile is stored, and not published."""

from dataclasses import replace

from cluster.store.bundles import BundleStore
from training.judge.gate import Decision


def unless_held(decision: Decision, store: BundleStore, kind: str) -> Decision:
    """The gate's decision, or that nothing is published while the kind is held, with who said so and the way out."""
    held = store.standings.held(kind) if decision.publish else None
    if held is None:
        return decision
    passed = decision.reason.removeprefix("published: ")
    line = f"stored, not published, as {kind} is held {held.text()}; it passed its gate: {passed}"
    return replace(decision, publish=False, reason=f"{line}; `pinfunnel models release {kind}` ends that")
