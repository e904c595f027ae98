"""What a model's shared features leave of its trees, prepared as bit masks. Knows nothing of requests, LLVM or Ray.

A leaf is a bit. For every interval between the thresholds of a shared feature, one row holds the leaves that each tree
keeps when the feature lies there: the live leaves of all trees are the AND of one row per shared feature. A split on
another feature stays if live leaves stand on both its sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serving.forest.model import Trees

MOST = 64  # leaves of a tree
DEEPEST = 12  # beyond it a chunk would hold few leaves of its own
MOST_BYTES = 1 << 28  # of the rows; a model that needs more is traversed instead
LANES = 8  # splits of a tree are padded to whole registers


@dataclass(frozen=True)
class Live:
    """The masks of an output's trees, T of them, and of the F shared features that they split on.

    `full` uint64[T]: all leaves. `feature` int32[F]; `cut_begin` int32[F + 1] into `cuts` float32[·], sorted within a
    feature; `row_begin` int64[F] into `rows` uint64[·, T]: the row of x is that of its number of cuts <= x, a missing
    value's is one beyond the last. `split_begin`, `leaf_begin` int64[T + 1]. Per split on another feature, in preorder,
    padded: `left`, `right` uint64 (leaves), `shape` uint8[·, 4] (first leaf left, first leaf right, first split right,
    end of the splits right), `code` int32[·, 2] (column, threshold). `weights` float32[leaves].
    """

    full: np.ndarray
    feature: np.ndarray
    cut_begin: np.ndarray
    cuts: np.ndarray
    row_begin: np.ndarray
    rows: np.ndarray
    split_begin: np.ndarray
    leaf_begin: np.ndarray
    left: np.ndarray
    right: np.ndarray
    shape: np.ndarray
    code: np.ndarray
    weights: np.ndarray
    depth: int


def build_live(trees: Trees, group: int, column: np.ndarray, threshold: np.ndarray, n_resolved: int) -> Live | None:
    """The masks of output `group`; features below `n_resolved` are shared. None for a model too large for masks."""
    chosen = np.flatnonzero(trees.group == group)
    first_leaf, end_leaf, depth = _ranges(trees)
    if max(end_leaf[trees.roots[chosen]], default=1) > MOST or depth > DEEPEST:
        return None

    # The shared features that the output's trees split on, and their thresholds.
    inner = trees.feature >= 0
    shared = inner & (trees.feature < n_resolved)
    tree_of = np.repeat(np.arange(len(trees.group)), np.diff(trees.roots))
    mine = np.isin(tree_of, chosen)
    features = np.unique(trees.feature[shared & mine]).astype(np.int32)
    cuts = [np.unique(trees.value[mine & (trees.feature == f)]) for f in features]
    n_rows = [len(values) + 2 for values in cuts]
    if sum(n_rows) * len(chosen) * 8 > MOST_BYTES:
        return None

    # The leaves on either side of every split, and what each interval of a shared feature leaves of every tree.
    middle = first_leaf[trees.right]  # meaningless for leaves, never read
    left = _bits(first_leaf, middle)
    right = _bits(middle, end_leaf)
    full = _bits(first_leaf, end_leaf)[trees.roots[chosen]]
    rows = []
    for f, values in zip(features, cuts, strict=True):
        nodes = np.flatnonzero(mine & (trees.feature == f))
        rows.append(_rows_of(trees, nodes, np.searchsorted(chosen, tree_of[nodes]), values, left, right, full))

    # The other splits, in preorder, padded tree by tree.
    splits = [np.flatnonzero(inner & ~shared & (tree_of == tree)) for tree in chosen]
    split_begin = _begins([-(-len(nodes) // LANES) * LANES for nodes in splits]).astype(np.int64)
    total = split_begin[-1]
    split_left = np.zeros(total, np.uint64)
    split_right = np.zeros(total, np.uint64)
    shape = np.zeros((total, 4), np.uint8)
    code = np.zeros((total, 2), np.int32)
    for begin, nodes in zip(split_begin, splits, strict=False):
        here = slice(begin, begin + len(nodes))
        split_left[here] = left[nodes]
        split_right[here] = right[nodes]
        first_right = np.searchsorted(nodes, trees.right[nodes])
        end_right = np.searchsorted(nodes, _end_node(nodes, end_leaf, first_leaf))
        shape[here] = np.c_[first_leaf[nodes], middle[nodes], first_right, end_right]
        code[here] = np.c_[column[nodes], threshold[nodes]]

    leaves = mine & ~inner
    return Live(
        full=full,
        feature=features,
        cut_begin=_begins([len(values) for values in cuts]).astype(np.int32),
        cuts=np.concatenate([*cuts, np.empty(0, np.float32)]).astype(np.float32),
        row_begin=_begins(n_rows)[:-1].astype(np.int64),
        rows=np.ascontiguousarray(np.concatenate([*rows, np.zeros((0, len(chosen)), np.uint64)])),
        split_begin=split_begin,
        leaf_begin=_begins(np.bincount(tree_of[leaves], minlength=len(trees.group))[chosen]).astype(np.int64),
        left=split_left,
        right=split_right,
        shape=shape,
        code=code,
        weights=np.concatenate([trees.value[(tree_of == tree) & ~inner] for tree in chosen]),
        depth=depth,
    )


def _rows_of(
    trees: Trees,
    nodes: np.ndarray,
    tree: np.ndarray,
    cuts: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    full: np.ndarray,
) -> np.ndarray:
    """uint64[cuts + 2, T]: the leaves left of every tree in each interval of a feature; last, where it is missing.

    `nodes` are the feature's splits and `tree` the index of the tree, from 0 to T - 1, that each stands in.
    """
    keep = np.broadcast_to(full[:, None], (len(full), len(cuts) + 2)).copy()
    for node, t in zip(nodes, tree, strict=True):
        rank = int(np.searchsorted(cuts, trees.value[node]))
        keep[t, : rank + 1] &= ~right[node]
        keep[t, rank + 1 : -1] &= ~left[node]
        keep[t, -1] &= ~right[node] if trees.default_left[node] else ~left[node]
    return keep.T


def _begins(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where each of some runs begins, and behind them where the last ends."""
    return np.concatenate([[0], np.cumsum(counts)])


def _ranges(trees: Trees) -> tuple[np.ndarray, np.ndarray, int]:
    """First leaf and last + 1 below each node, counted within its tree; and the depth of the deepest tree."""
    is_leaf = trees.feature < 0
    before: np.ndarray = np.cumsum(is_leaf) - is_leaf
    first: np.ndarray = before - np.repeat(before[trees.roots[:-1]], np.diff(trees.roots))
    end = first + 1
    level = np.zeros(len(first), np.int64)
    for node in np.flatnonzero(~is_leaf)[::-1]:  # preorder: children stand behind their parents
        end[node] = end[trees.right[node]]
    for node in np.flatnonzero(~is_leaf):
        level[trees.left[node]] = level[trees.right[node]] = level[node] + 1
    return first, end, int(level.max())


def _end_node(nodes: np.ndarray, end: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The node behind each node's subtree: a subtree of k leaves has 2k - 1 nodes."""
    return nodes + 2 * (end[nodes] - first[nodes]) - 1


def _bits(first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """uint64 with the bits first … end - 1 set, end at most 64 wherever it means something."""
    width = np.clip(end - first, 0, MOST).astype(np.uint64)
    ones = np.where(width > 0, np.uint64(0xFFFFFFFFFFFFFFFF) >> (np.uint64(64) - np.maximum(width, 1)), np.uint64(0))
    return (ones << np.clip(first, 0, MOST - 1).astype(np.uint64)).astype(np.uint64)
