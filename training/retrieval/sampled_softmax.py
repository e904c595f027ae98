"""A softmax over the next item and a sample of others, the same for a whole batch."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Negatives:
    """What stands beside the item that was chosen. The right one among the negatives is masked: an accidental hit."""

    uniform: int = 1024  # drawn evenly from all items; 0: all items, which is exact and dear
    in_batch: int = 0  # drawn from the batch's own next items, whose logits are corrected by how often they come


def sampled_softmax(
    states: Tensor, wanted: Tensor, vectors: Tensor, popularity: Tensor, negatives: Negatives
) -> Tensor:
    """Mean cross-entropy of states float[N, W] whose next items are int64[N] among vectors float[items, W].

    In-batch negatives are as likely as they are popular, so their logits lose the log of the ratio of that to an even
    draw (`popularity` float[items], shares of the training actions); the positive stays as it is.
    """
    if not negatives.uniform and not negatives.in_batch:
        return F.cross_entropy(states @ vectors.T, wanted)
    n_items = len(vectors)
    parts: list[tuple[Tensor, Tensor | None]] = []
    drawn = torch.randint(n_items, (negatives.uniform,), device=states.device)
    if negatives.uniform:
        parts.append((drawn, None))
    if negatives.in_batch:
        others = wanted[torch.randint(len(wanted), (negatives.in_batch,), device=states.device)]
        parts.append((others, torch.log(popularity[others] * n_items)))
    logits = [(states * vectors[wanted]).sum(1, keepdim=True)]
    for items, correction in parts:
        found = states @ vectors[items].T
        if correction is not None:
            found = found - correction
        logits.append(found.masked_fill(items[None] == wanted[:, None], -torch.inf))
    return F.cross_entropy(torch.cat(logits, 1), torch.zeros(len(wanted), dtype=torch.long, device=states.device))
