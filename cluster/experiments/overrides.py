"""A client with the settings of an arm: its file, changed at some paths, and checked as a whole again."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import JsonValue

from cluster.errors import ConfigError
from cluster.experiments.definition import Experiment
from cluster.settings.clients import Client
from cluster.settings.parsing import near, parse

MAY_SET = ("walk", "query", "sources", "allotment", "sizes", "boosts", "utility", "policy")
"""Sections of a client's file that decide an answer. The others are about who may ask, and about training."""


def changed_client(client: Client, changes: Mapping[str, JsonValue], origin: str) -> Client:
    """The client with other values at some paths, as `sources.boards.quota`; a mapping is replaced whole.

    Raises ConfigError that begins with `origin` and names the path.
    """
    if not changes:
        return client
    raw = client.model_dump()
    for path, value in changes.items():
        _set(raw, path, value, origin)
    return parse(Client, raw, origin)


def check_paths(changes: Iterable[str], origin: str) -> None:
    """Raises ConfigError for a path that no arm may set, and for two of which one lies in the other."""
    paths = sorted(changes)
    for path in paths:
        section = path.partition(".")[0]
        if section not in MAY_SET:
            why = f"arms may set {', '.join(MAY_SET)}{near(section, MAY_SET)}"
            raise ConfigError(f"{origin}: set.{path}: {why}")
        if not all(path.split(".")):
            raise ConfigError(f"{origin}: set.{path}: expected names with dots between them")
    for first, second in overlapping(paths, paths):
        if first != second:
            raise ConfigError(f"{origin}: set.{second} lies in set.{first}: leave one out")


def overlapping(some: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of paths, one of each, of which the second is the first or lies in it."""
    return [(a, b) for a in some for b in others if a == b or b.startswith(f"{a}.")]


def origin_of(experiment: Experiment, arm: str) -> str:
    """How messages name an arm."""
    return f"experiment {experiment.name}: arms.{arm}"


def _set(raw: dict[str, Any], path: str, value: JsonValue, origin: str) -> None:
    *parents, last = path.split(".")
    here: Any = raw
    for at, part in enumerate(parents):
        here = here.setdefault(part, {})
        if here is None or not isinstance(here, dict):
            raise ConfigError(f"{origin}: set.{path}: {'.'.join(parents[: at + 1])} is no mapping: set it as a whole")
    here[last] = value
