"""A toy world for tests: small enough for seconds, large enough that topics, locales and cold users are all in it."""

from functools import cache
from pathlib import Path
from typing import Any

from apps.world.world import World


@cache
def toy_world(seed: int = 0) -> World:
    """600 pins, 200 boards and 60 users. Shared between tests: treat it as read-only."""
    return World.make(seed, pins=600, boards=200, users=60)


def toy_project(folder: Path, seed: int = 0, settings: dict[str, Any] | None = None) -> Path:
    """The toy world's Parquet files and `pinfunnel.yaml` in `folder`; returns the path of the YAML."""
    return toy_world(seed).write(folder, settings)
