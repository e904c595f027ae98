"""Why the full ranker gives a candidate its logits: one contribution per input and action. Torch only.

Integrated gradients (Sundararajan, Taly and Yan, ICML 2017): on the straight way from a baseline to the request, each
input gets what it changed. The contributions of all inputs add up to the logit minus the baseline's (completeness), to
the error of a sum over `STEPS` points for an integral.

The baseline is a request that says nothing: dense columns at their training mean, no category, no pin id, no content,
no past actions, an unknown client. A missing dense column would be no baseline, as most columns are never missing in
training and what the network then gives is chance. All the others are inputs that the network does know: padding is
what a new user or a new pin has, and training hides pins and clients at random.

The way leads through what the network looks up and encodes (`FullRanker.encode`), since an id has nothing between it
and another. Of past actions the way scales what all of them together bring.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.ranker.batch import Floats, RankerSchema
from training.ranker.columns import LIGHTWEIGHT_SCORE
from training.ranker.inputs import Inputs
from training.ranker.model import FullRanker
from training.ranker.numeric import Numeric

STEPS = 16
"""Points of the integral (Gauss-Legendre): docs/experiments/ranker.md has the error against their number."""

PIN = "pin id"
CONTENT = "content vector"
ACTIONS = "past actions"
CLIENT = "client"
"""Names of the inputs that are no column; no feature has a space in its name."""


class Attribution(NamedTuple):
    """Contributions of J inputs to the logits of N candidates; those of one action add up to about logit - baseline."""

    names: tuple[str, ...]  # J
    values: Floats  # float32[N, A, J]
    baseline: Floats  # float32[A], the same for every candidate
    logits: Floats  # float32[N, A]


def attribute(model: FullRanker, schema: RankerSchema, x: Inputs, steps: int = STEPS) -> Attribution:
    """Contributions to the logits of one request's candidates. `model` is in evaluation mode and stays as it is."""
    with torch.no_grad():
        inputs = baseline_of(model, x)
        here, there = model.encode(x), model.encode(inputs)
        base, logits = model.meet(there, inputs)[0], model.meet(here, x)
    if here.sequence is not None:  # there are no actions at the baseline: at 0 these count as none
        here, there = (
            e._replace(acted=torch.full((1, 1), v, device=e.real.device)) for e, v in ((here, 1), (there, 0))
        )
    names, of_unit = _inputs(model, schema)
    n = len(x.request)
    points, weights = (torch.from_numpy(v).to(base) for v in np.polynomial.legendre.leggauss(steps))
    points, weights = (points + 1) / 2, weights / 2
    changes = {field: getattr(here, field) - getattr(there, field) for field in of_unit}
    way = {
        field: (getattr(there, field) + points[:, None, None] * change.expand(n, -1)).flatten(0, 1).requires_grad_()
        for field, change in changes.items()
    }
    rows = torch.arange(steps * n, device=base.device)
    on_way = model.meet(here._replace(**way), x._replace(request=rows, slot=rows, width=len(rows)))
    values = torch.zeros(n, len(base), len(names), device=base.device)
    for action in range(len(base)):
        slopes = torch.autograd.grad(on_way[:, action].sum(), list(way.values()), retain_graph=True)
        for (field, change), slope in zip(changes.items(), slopes, strict=True):
            mean = (slope.view(steps, n, -1) * weights[:, None, None]).sum(0)
            values[:, action].index_add_(1, of_unit[field], mean * change)
    return Attribution(names, *(part.cpu().numpy() for part in (values, base, logits)))


def baseline_of(model: FullRanker, x: Inputs) -> Inputs:
    """One request with one candidate, of which nothing is known: what contributions are measured against."""
    parts: dict[str, Any] = x._asdict()
    nothing = {name: torch.zeros_like(part[:1]) for name, part in parts.items() if isinstance(part, Tensor)}
    means = {"shared": model.shared_numeric.middle(), "candidates": model.candidate_numeric.middle()}
    return x._replace(**{**nothing, **means}, width=1)


def _inputs(model: FullRanker, schema: RankerSchema) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Names of the inputs, and for each part of `Encoded` that they fill which input each of its numbers is of."""
    categories = {side: [name for name, of in schema.categorical if of == side] for side in ("shared", "candidate")}
    width = model.config.category_width
    shared = _units(model.shared_numeric, schema.shared) + [n for n in categories["shared"] for _ in range(width)]
    candidate = _units(model.candidate_numeric, schema.candidate)
    candidate += [name for name in categories["candidate"] for _ in range(width)]
    candidate += [PIN] * (0 if model.pins is None else model.config.pin_width) + [CONTENT] * schema.n_topics
    client = {
        "client_user": model.client_embedding,
        "client_scale": model.client_scale,
        "client_gate": model.experts.client_gate,
        "client_bias": model.client_bias,
        "client_slope": None if model.residual is None else model.residual.slope,
    }
    units = {"shared": shared, "candidate": candidate}
    units |= {field: [CLIENT] * table.embedding_dim for field, table in client.items() if table is not None}
    if model.use_sequence:
        units["acted"] = [ACTIONS]
    if model.residual is not None:
        units["score"] = [LIGHTWEIGHT_SCORE]
    names = tuple(dict.fromkeys(name for part in units.values() for name in part))
    at = {name: i for i, name in enumerate(names)}
    device = model.client_bias.weight.device
    of_unit = {field: torch.tensor([at[n] for n in part], dtype=torch.int64) for field, part in units.items()}
    return names, {field: index.to(device) for field, index in of_unit.items()}


def _units(numeric: Numeric, names: tuple[str, ...]) -> list[str]:
    """Of which column each number of `Numeric`'s encoding is."""
    return [*names, *names, *(name for name in names for _ in range(numeric.bins))]
