"""Policy labels (serving/policy/labels.py): forbidden pins are left out, demoted ones get a lower score."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from cluster.settings.clients import PolicySettings
from serving.policy.labels import LabelRules
from serving.policy.registry import Phase, PolicyRequest, Step, register
from serving.policy.slate import Slate


@register("forbid", Phase.FILTER)
def forbidden(policy: PolicySettings) -> Iterator[Step]:
    """`policy.forbid`."""
    rules = LabelRules.of(policy)
    if rules.forbidden:
        yield partial(forbid, mask=rules.forbidden)


@register("demote", Phase.RESCORE)
def demoted(policy: PolicySettings) -> Iterator[Step]:
    """`policy.demote`, one step a label."""
    for mask, factor in LabelRules.of(policy).demoted:
        yield partial(demote, mask=mask, factor=factor)


def forbid(slate: Slate, request: PolicyRequest, mask: int) -> Slate:
    """Without the pins that carry any label of the bit set `mask`."""
    if slate.labels is None:
        return slate
    return slate.pick(np.flatnonzero((slate.labels.astype(np.int64) & mask) == 0), "policy")


def demote(slate: Slate, request: PolicyRequest, mask: int, factor: float) -> Slate:
    """A labelled pin's positive score is multiplied by `factor` in (0, 1], a negative one divided by it."""
    if slate.labels is None:
        return slate
    labelled = (slate.labels.astype(np.int64) & mask) != 0
    changed = np.where(slate.score >= 0, slate.score * factor, slate.score / factor)
    slate = replace(slate, score=np.where(labelled, changed, slate.score).astype(slate.score.dtype))
    return slate.pick(np.argsort(-slate.score, kind="stable"))
