"""What a report needs to know of an experiment: plain data, so that statistics stand apart from where it is defined."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from training.experiments.columns import DEGRADED, MILLISECONDS
from training.experiments.confidence import HorizonKind
from training.experiments.labels import ByUser, ByWindow, Label

Design = Literal["users", "interleaving", "switchback"]


@dataclass(frozen=True)
class TrialSettings:
    """An experiment. The first of `arms` (name → weight) is the control."""

    name: str
    clients: tuple[str, ...]
    arms: Mapping[str, float]
    action: str
    design: Design = "users"
    traffic: float = 1.0
    guardrails: tuple[str, ...] = ("hide", MILLISECONDS, DEGRADED)
    horizon: HorizonKind = "sequential"
    days: float | None = None  # of a fixed horizon
    minutes: int = 60  # of a switchback's window

    def label(self, carry_over: float = 0.0) -> Label:
        """How its requests are told apart."""
        if self.design == "switchback":
            return ByWindow(self.name, tuple(self.arms), self.minutes, carry_over)
        if self.design == "interleaving":
            return ByUser(self.name, or_request=True)
        return ByUser(self.name, tuple(self.arms))

    @property
    def unit(self) -> str:
        """What was assigned, in the plural."""
        return "windows" if self.design == "switchback" else "users"
