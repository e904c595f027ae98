"""Choose the k best scores: one pass with a threshold, ties to the lower index. Knows nothing of models."""

import numpy as np


def top_k(margins: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(index int32[k], score float32[k]), best first; k is capped at n. Equal scores keep their order."""
    order = np.argsort(-margins, kind="stable")[: max(k, 0)].astype(np.int32)
    return order, margins[order]
