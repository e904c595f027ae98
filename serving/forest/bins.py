"""Turn features into bytes that answer every split of a model exactly. Knows nothing of requests or Ray.

The bin of x is the number of the feature's thresholds that are <= x, so x < threshold j is bin <= j. A byte holds 255
thresholds; a feature with more gets several columns, each for the next 255. A missing value goes where a split's
default says: the lowest bin goes left everywhere and the highest right everywhere, so a feature whose splits disagree
gets one column for each. Bins are stored minus 128, as signed bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serving.forest.model import LEAF, Trees

CUTS = 255


@dataclass(frozen=True)
class Column:
    """One byte column: `cuts` float32[<= 255] sorted thresholds of `feature`; where a missing value goes."""

    feature: int
    cuts: np.ndarray
    missing_right: bool

    def bins(self, x: np.ndarray) -> np.ndarray:
        """int8[n] of float32[n]: the slow, plain definition."""
        bins = np.searchsorted(self.cuts, x, side="right")
        return (np.where(np.isnan(x), len(self.cuts) if self.missing_right else 0, bins) - 128).astype(np.int8)


@dataclass(frozen=True)
class BinPlan:
    """The byte columns of some features of a model, and for every split its column and threshold.

    `column` int32[nodes]; `threshold` int32[nodes]: the signed byte, four times over.
    """

    columns: list[Column]
    column: np.ndarray
    threshold: np.ndarray


def plan_bins(trees: Trees, features: Sequence[int]) -> BinPlan:
    """Columns for `features`, in that order; features that no split uses get none."""
    columns: list[Column] = []
    column = np.zeros(len(trees.feature), np.int32)
    threshold = np.zeros(len(trees.feature), np.int32)
    by_feature = np.argsort(trees.feature, kind="stable")
    sorted_feature = trees.feature[by_feature]
    for feature in features:
        if feature == LEAF:
            raise ValueError("a feature is a column number")
        nodes = by_feature[slice(*np.searchsorted(sorted_feature, [feature, feature + 1]))]
        cuts, rank = np.unique(trees.value[nodes], return_inverse=True)
        missing_right = ~trees.default_left[nodes]
        for part in range((len(cuts) + CUTS - 1) // CUTS):
            for side in (False, True):
                mine = nodes[(rank // CUTS == part) & (missing_right == side)]
                if len(mine) == 0:
                    continue
                ranks = rank[(rank // CUTS == part) & (missing_right == side)]
                column[mine] = len(columns)
                biased = (ranks % CUTS - 128).astype(np.int8).view(np.uint8).astype(np.uint32)
                threshold[mine] = (biased * np.uint32(0x01010101)).view(np.int32)
                columns.append(Column(feature, cuts[part * CUTS : (part + 1) * CUTS], side))
    return BinPlan(columns, column, threshold)
