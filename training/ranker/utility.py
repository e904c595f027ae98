"""What an answer is worth to a client: its weights of actions, and their probabilities. Knows nothing of torch."""

from collections.abc import Mapping, Sequence

import numpy as np

from cluster.errors import ModelError
from training.ranker.batch import Floats


def utility(probabilities: Floats, weights: Mapping[str, float], actions: Sequence[str]) -> Floats:
    """One score per candidate: Σ_a weight_a · P(a), float32[N]. A missing action weighs 0; `hide` should weigh
    below 0.

    Raises ModelError for a weight of an action the model does not predict.
    """
    unknown = sorted(set(weights) - set(actions))
    if unknown:
        raise ModelError(
            f"utility weight for unknown action {unknown[0]!r}: the full ranker predicts {', '.join(actions)}"
        )
    vector = np.array([weights.get(a, 0.0) for a in actions], np.float32)
    return np.asarray(probabilities @ vector, np.float32)
