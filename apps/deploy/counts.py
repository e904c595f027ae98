"""Numbers of replicas in a Serve config, where a change of them restarts nobody."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apps.deploy.config import arguments_of
from apps.project import Opened
from apps.serve import FunnelArgs, replicas_of
from serving.logs.shard import shards_of

COUNTED = ("walker_replicas", "source_replicas", "lightweight_replicas", "full_replicas")
"""Arguments that say nothing but how many replicas there are. An ingress is told how many it is one of."""


def stage_counts(args: FunnelArgs, opened: Opened) -> dict[str, int]:
    """How many replicas each stage has, by deployment; empty in the colocated shape."""
    others = {"ingress", *(shard.named("events") for shard in shards_of(opened.project.events.writers))}
    return {name: one.count for name, one in replicas_of(args, opened).items() if name not in others}


def count_aside(config: dict[str, Any], path: Path, counts: Mapping[str, int]) -> None:
    """Write numbers of replicas beside `args`: Serve restarts every replica when anything in `args` changes.

    `counts` by deployment. A number that the config has there already stays.
    """
    args = arguments_of(config, path)
    for name in COUNTED:
        args.pop(name, None)
    app = next(app for app in config["applications"] if app.get("args") is args)
    beside = {one["name"]: one for one in app.get("deployments") or ()}
    app["deployments"] = [
        *({"num_replicas": count, **beside.pop(name, {}), "name": name} for name, count in counts.items()),
        *beside.values(),
    ]
