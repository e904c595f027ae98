"""Whether an ingress can answer at all, and what is not as it should be. Plain data; no Ray.

An answer that lacks a stage is an answer: a stage that is gone makes an ingress `degraded`, not unready, or one stage
that dies would take every ingress out of the load balancer at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cluster import kinds
from serving.logs.health import LogHealth
from serving.request.served import ServedBundles


def not_ready(served: ServedBundles, stages: int, closing: bool) -> list[str]:
    """Why no request should come here; empty when it may. `stages` is how many deployments were asked."""
    reasons = []
    if closing:
        reasons.append("this process is closing")
    if served.versions.get(kinds.GRAPH) is None:
        reasons.append("no graph is served")
    if stages and len(served.silent) == stages:
        reasons.append(f"no stage answers: {', '.join(served.silent)}")
    return reasons


def report(
    home: str, served: ServedBundles, logs: Mapping[str, LogHealth], reasons: Sequence[str], keys: str = ""
) -> dict[str, Any]:
    """The body of `/readyz`: `status` is `ok`, `degraded` with `problems`, or `unready` with `reasons`.

    `keys` is what is wrong with the file of keys.
    """
    wrong = [{"kind": name, "reason": reason} for name, health in logs.items() for reason in health.problems]
    if keys:
        wrong.append({"kind": "keys", "reason": keys})
    problems = [*(asdict(problem) for problem in served.problems), *wrong]
    status = "unready" if reasons else "degraded" if problems else "ok"
    return {
        "status": status,
        "reasons": list(reasons),
        "home": home,
        "versions": served.told,
        "problems": problems,
        **{name: health.counters for name, health in logs.items()},
    }
