"""The project's file of experiments: a mapping of names to definitions. `pinfunnel experiment` reads it."""

from pathlib import Path
from typing import Any

from cluster.errors import ConfigError
from cluster.experiments.definition import Experiment
from cluster.experiments.layers import conflicts
from cluster.settings.parsing import parse, read_yaml


def read_experiments(path: str | Path) -> dict[str, Experiment]:
    """All of a file by name, in its order. Raises ConfigError that names experiment and field, or two that clash."""
    out = {name: read_experiment(name, raw, str(path)) for name, raw in read_yaml(path).items()}
    if wrong := conflicts(list(out.values())):
        raise ConfigError("\n".join(f"{path}: {why}" for why in wrong))
    return out


def read_experiment(name: Any, raw: Any, origin: str) -> Experiment:
    """One entry. Raises ConfigError."""
    if not isinstance(raw, dict):
        raise ConfigError(f"{origin}: {name}: expected a mapping with `clients` and `arms`")
    if "name" in raw:
        raise ConfigError(f"{origin}: {name}: name: the entry's key is the name: leave it out")
    return parse(Experiment, {"name": name, **raw}, f"{origin}: {name}")
