"""How stages were judged, in words and as JSON: another program can ask the same requests and compare its figures."""

from datetime import UTC, datetime
from typing import Any

from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.project import Opened
from apps.reports.stages_quality import StageQuality
from cluster.settings.clients import Client


def protocol_of(replay: Replay, client: str, plan: ReplayPlan, quality: StageQuality) -> dict[str, Any]:
    """What was asked, when, of whom, and what counted; the counts are those of the evaluation that was run."""
    opened = replay.opened
    sizes = opened.clients[client].sizes
    until = plan.until or datetime.fromtimestamp((int(replay.moments[-1]) + 1) / 1e6, UTC)
    return {
        "client": client,
        "held_out": {"since": next(iter(quality.slices), None), "until": until.isoformat()},
        "slices": quality.slices,
        "requests": quality.requests,
        "users": quality.users,
        "asked": f"of each user and slice, before the first action and then before every {plan.every}th, "
        f"with {plan.min_history} earlier actions known; each action counts for what was known before its own time",
        "excluded": "every pin that the user acted on before the request, whatever the action",
        "relevant": f"pins not acted on before that get one of {', '.join(positive_actions(opened, client))} within "
        f"{plan.horizon_hours:g} hours; requests without any are left out",
        "known": "graph, similarities and peers are built at the begin of each slice, from what was known then",
        "ranked": "popularity and peers rank all pins; the others rank the walk's candidates, "
        f"at most {sizes.walk}, and the full ranker the best {sizes.lightweight} of them",
        "figures": list(quality.figures),
        "intervals": "95 %, from resampling users",
    }


def protocol_lines(protocol: dict[str, Any]) -> list[str]:
    """A line a fact, for people."""
    out = []
    for name, fact in protocol.items():
        if name == "slices":
            out += [f"  slice from {begin}: {requests:,} requests" for begin, requests in fact.items()]
        elif isinstance(fact, dict):
            out.append(f"{name.replace('_', ' ')}: {', '.join(f'{key} {value}' for key, value in fact.items())}")
        else:
            out.append(f"{name}: {', '.join(fact) if isinstance(fact, list) else fact}")
    return out


def positive_actions(opened: Opened, client: str) -> list[str]:
    """The actions that make a pin relevant: those of positive weight in the client's labels."""
    settings: Client = opened.clients[client]
    weights = settings.labels.action_weights
    return [a for a, w in weights.items() if w > 0 and a not in set(opened.project.negative_actions)]
