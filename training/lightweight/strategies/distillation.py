"""What would the full ranker say? A student that regresses its teacher's utility. Needs a log with its scores."""

import numpy as np

from cluster.data.schema import WALKED
from cluster.settings.clients import StrategyTable
from training.lightweight.strategies.strategy import UNSEEN, LabelRule, Labels, LoggedCandidates, Strategy, sample


def distil(rule: LabelRule, of: LoggedCandidates, kind: np.ndarray) -> Labels:
    """A candidate counts by the inverse of its chance to be here: to be logged, to have a score, and to be drawn."""
    scored = np.isfinite(of.teacher)
    kept = scored & (kind != UNSEEN)
    unseen = np.flatnonzero(scored & (kind == UNSEEN))
    picked, rate = sample(unseen, rule.table.unimpressed_per_request, of.request_id)
    kept[picked] = True
    weight = kept.astype(np.float32)
    weight[picked] /= rate * of.kept_rate
    chance = np.where(of.stage == WALKED, of.teacher_rate, 1.0)
    known = kept & (chance > 0)
    weight[known] /= chance[known]
    label = np.where(scored, of.teacher, 0.0) + np.where(of.local == 1.0, rule.local_label_weight, 0.0)
    return Labels(label.astype(np.float32), weight, kept, kind)


STRATEGY = Strategy(
    name="distillation",
    meaning="the full ranker's utility, wherever it scored",
    table=StrategyTable(distillation=True, unimpressed_per_request=60),
    label=distil,
    objective="reg:squarederror",
    without_examples="distillation needs the full ranker's scores and the log has none: train full first",
)
