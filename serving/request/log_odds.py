"""What the full ranker's explanation hands on: the parts of a probability's log-odds."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LogOdds:
    """Why one action has its probability p: log(p / (1 - p)) = baseline + all of `inputs` + others."""

    baseline: float  # of a request of which nothing is known (training/ranker/attribution.py)
    inputs: dict[str, float]  # what the inputs that moved it most add, the largest first
    others: float  # what is left: all other inputs, and the error of the method's integral


Reasons = Mapping[str, LogOdds]
"""Of one pin, by action; empty where there was no time for them."""
