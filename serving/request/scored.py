"""What the full stage hands on: probabilities and utility of the survivors."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scored:
    """The full stage: one probability per action and the client's utility, aligned with Ranked.survivors."""

    version: str | None
    utility: np.ndarray  # float32[k]; NaN without a model, and for survivors that were not scored in time
    probabilities: np.ndarray  # float32[k, A]
    actions: tuple[str, ...] = ()  # what the model predicts, A names in the order of the columns
    weights: tuple[float, ...] = ()  # what each of them counts in this client's utility, 0 for nothing

    def order(self) -> np.ndarray:
        """Survivors by utility, best first, int64[k]: what was not scored in time goes last and keeps its order."""
        return np.argsort(-self.utility, kind="stable")
