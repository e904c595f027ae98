"""The plans that a full ranker's training may follow, from the settings and the log's size: a network and its fit.

`ranker.size: auto` gives several, small to large, and training/full/choose.py takes the one that orders later requests
best; a size by name gives that one. `ranker.model` and `ranker.fit` change single knobs of all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster.errors import ConfigError
from cluster.settings.project import Project, RankerSettings
from training.ranker.config import FitConfig, ModelConfig

FEW_REQUESTS = 1_000
"""Up to here only the small network is tried: ids and sequence overfit the first thousand requests, whatever the
validation requests say, which are then some hundred."""

MANY_REQUESTS = 200_000
"""From here the small networks are not tried any more, and `base` is."""


@dataclass(frozen=True)
class NetworkPlan:
    """One way to train: by name, the network and the fit."""

    name: str
    model: ModelConfig
    fit: FitConfig

    def of_tasks(self, weights: Sequence[float]) -> "NetworkPlan":
        """With each action's weight in the loss multiplied by one of `weights`."""
        own = self.fit.task_weights or (1.0,) * len(weights)
        both = tuple(a * b for a, b in zip(own, weights, strict=True))
        return replace(self, fit=self.fit.but(task_weights=both))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"name": self.name, "model": self.model.to_dict(), "fit": self.fit.to_dict()}


def _named(size: str, scored: bool) -> NetworkPlan:
    if size == "small":
        return NetworkPlan(size, ModelConfig.small(), FitConfig.small(residual=scored))
    if size == "sequence":
        return NetworkPlan(size, ModelConfig.medium().but(pin_buckets=0), FitConfig.medium())
    model: ModelConfig = getattr(ModelConfig, size)()
    fits = {"debug": FitConfig.debug(), "medium": FitConfig.medium()}
    return NetworkPlan(size, model, fits.get(size, FitConfig()))


def sizes_for(settings: RankerSettings, requests: int) -> tuple[str, ...]:
    """Names of the plans to try on a log of so many training requests, the smallest network first."""
    if settings.size != "auto":
        return (settings.size,)
    if requests <= FEW_REQUESTS:
        return ("small",)
    return ("small", "sequence", "medium") if requests < MANY_REQUESTS else ("medium", "base")


def plans_for(
    settings: RankerSettings, negative_actions: Sequence[str], requests: int, scored: bool = True
) -> tuple[NetworkPlan, ...]:
    """The plans to try, with the settings' own changes, on rows with the lightweight score or without.

    Raises ConfigError for a knob of `ranker.model` or `ranker.fit` that does not exist, or has a wrong value.
    """
    given = {name: getattr(settings, name) for name in ("epochs", "batch_requests", "learning_rate")}
    changes: dict[str, Any] = {
        **{name: value for name, value in given.items() if value is not None},
        "request_balance": settings.request_balance,
        "seed": settings.seed,
        "flat_actions": tuple(negative_actions),
    }
    out = []
    for size in sizes_for(settings, requests):
        plan = _named(size, scored)
        model = plan.model.changed(settings.model, "ranker.model")
        out.append(NetworkPlan(size, model, plan.fit.but(**changes).changed(settings.fit, "ranker.fit")))
    return tuple(out)


def check_ranker(project: Project) -> None:
    """Raises ConfigError where a plan for a log of any size could not be made of the project's settings."""
    for requests in (0, FEW_REQUESTS + 1, MANY_REQUESTS):
        for plan in plans_for(project.ranker, project.negative_actions, requests):
            if len(plan.fit.task_weights) not in (0, len(project.actions)):
                raise ConfigError(
                    f"ranker.fit.task_weights: {len(plan.fit.task_weights)} weights for the {len(project.actions)} "
                    f"actions {', '.join(project.actions)}"
                )
