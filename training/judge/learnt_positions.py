"""What positions do for actions as the published full ranker has learnt it, for the judge of the trees.

Trees have no position bias of their own. Torch loads only where a full ranker is published.
"""

import logging
from collections.abc import Sequence

import numpy as np

from cluster.errors import BundleError, MissingPackageError
from cluster.extras import require_torch
from cluster.kinds import FULL
from cluster.store.bundles import BundleStore
from training.judge.position import PositionEffect, action_rates, position_lift
from training.log.arrays import Request

log = logging.getLogger(__name__)


def effect_in_full_ranker(
    store: BundleStore, client: str, actions: Sequence[str], requests: Sequence[Request]
) -> PositionEffect | None:
    """The effect of each position that `requests` showed, at the rates that their actions have there.

    None without torch, or a published full ranker that can be used, of these actions and with positions. The judge of
    full rankers knows each candidate's own chance of an action; here the mean of what was shown stands for it.
    """
    deepest = max((int(r.position.max(initial=-1)) for r in requests), default=-1)
    version = store.current(FULL)
    if version is None or deepest < 0:
        return None
    try:
        require_torch("reading what positions do from the published full ranker")
    except MissingPackageError as error:
        log.warning("%s: %s; orders are judged as if positions did nothing", client, error)
        return None
    from training.ranker.scorer import FullScorer

    try:
        scorer = FullScorer.open(store.open(FULL, version).path)
    except BundleError:
        return None
    if scorer.model.position is None or scorer.schema.actions != tuple(actions):
        return None
    odds = scorer.odds_at(client, np.arange(deepest + 1))
    return PositionEffect(position_lift(odds, action_rates(requests)), f"full ranker {version}")
