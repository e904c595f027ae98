"""Finds the strategies of this folder, and resolves what a client's YAML file says to the rule that labels its log."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from cluster.errors import ConfigError
from cluster.settings.clients import Client, LabelSettings
from training.lightweight import strategies as folder
from training.lightweight.strategies import distillation
from training.lightweight.strategies.strategy import LabelRule, Strategy
from training.lightweight.strategies.table import custom

CUSTOM = "custom"
"""What `labels.strategy` says when the table is written out; any other name is a file's."""


@cache
def known_strategies() -> Mapping[str, Strategy]:
    """Every file's `STRATEGY` by name, in the order of the names."""
    modules = (
        importlib.import_module(f"{folder.__name__}.{found.name}") for found in pkgutil.iter_modules(folder.__path__)
    )
    found = [module.STRATEGY for module in modules if hasattr(module, "STRATEGY")]
    return MappingProxyType({strategy.name: strategy for strategy in sorted(found, key=lambda s: s.name)})


def find(settings: LabelSettings) -> Strategy:
    """The strategy that a client's labels ask for. A written-out `table` wins over `strategy`; `custom` needs one.

    Raises ConfigError for an unknown name, with the known ones.
    """
    known = known_strategies()
    if settings.strategy != CUSTOM and settings.strategy not in known:
        names = ", ".join((*known, CUSTOM))
        raise ConfigError(f"labels.strategy: no strategy is called '{settings.strategy}': use one of {names}")
    if settings.table is not None:
        if settings.table.distillation:
            return replace(distillation.STRATEGY, table=settings.table)
        return custom(settings.table)
    if settings.strategy == CUSTOM:
        raise ConfigError("labels.strategy is custom: write the table under labels.table, see docs/strategies.md")
    return known[settings.strategy]


def check_strategies(clients: Mapping[str, Client]) -> None:
    """Raises ConfigError that names the client whose strategy is not there."""
    for name, client in clients.items():
        try:
            find(client.labels)
        except ConfigError as error:
            raise ConfigError(f"client {name}: {error}") from None


def resolve(settings: LabelSettings, actions: Sequence[str], negative_actions: Sequence[str]) -> LabelRule:
    """The rule of a client.

    Weights come from the table's `action_weight`, else from `labels.action_weights`; unnamed actions weigh 0 and are
    then as good as no action.
    """
    strategy = find(settings)
    table = strategy.table
    for key in ("impressed_no_action_label", "unimpressed_label"):
        value = getattr(table, key)
        if value is not None and not 0.0 <= value <= 1.0:
            raise ConfigError(f"labels.table.{key}: {value} is no probability: use a label from 0 to 1, or null")
    named = table.action_weight or settings.action_weights
    unknown = sorted(set(named) - set(actions))
    if unknown:
        raise ConfigError(f"labels: unknown action {unknown[0]!r}: the project's actions are {', '.join(actions)}")
    weights = tuple(float("nan") if a in negative_actions else float(named.get(a, 0.0)) for a in actions)
    return LabelRule(strategy, weights, settings.local_label_weight, settings.request_balance)
