"""What a model's shared features leave of its trees, prepared as bit masks. Knows nothing of requests, LLVM or Ray.

A leaf is a bit. For every interval between the thresholds of a shared feature, one row holds the leaves that each tree
keeps when the feature lies there: the live leaves of all trees are the AND of one row per shared feature. A split on
another feature stays if live leaves stand on both its sides.
"""

from dataclasses import dataclass

import numpy as np

from serving.forest.model import Trees

MOST = 64  # leaves of a tree
DEEPEST = 12  # beyond it a chunk would hold few leaves of its own
MOST_BYTES = 1 << 28  # of the rows; a model that needs more is walked instead
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
    inner = trees.feature >= 0
    shared = inner & (trees.feature < n_resolved)
    tree_of = np.repeat(np.arange(len(trees.group)), np.diff(trees.roots))
    mine = np.isin(tree_of, chosen)
    place = np.full(len(trees.group), -1)
    place[chosen] = np.arange(len(chosen))
    features = np.unique(trees.feature[shared & mine]).astype(np.int32)
    cuts = [np.unique(trees.value[mine & (trees.feature == f)]) for f in features]
    if sum(len(c) + 2 for c in cuts) * len(chosen) * 8 > MOST_BYTES:
        return None
    middle = first_leaf[trees.right]  # meaningless for leaves, never read
    left, right = _bits(first_leaf, middle), _bits(middle, end_leaf)
    full = _bits(first_leaf, end_leaf)[trees.roots[chosen]]
    rows = []
    for f, values in zip(features, cuts, strict=True):
        keep = np.broadcast_to(full[:, None], (len(chosen), len(values) + 2)).copy()
        for node in np.flatnonzero(mine & (trees.feature == f)):
            rank, row = int(np.searchsorted(values, trees.value[node])), keep[place[tree_of[node]]]
            row[: rank + 1] &= ~right[node]
            row[rank + 1 : -1] &= ~left[node]
            row[-1] &= ~right[node] if trees.default_left[node] else ~left[node]
        rows.append(keep.T)
    splits = [np.flatnonzero(inner & ~shared & (tree_of == tree)) for tree in chosen]
    counts = [-(-len(s) // LANES) * LANES for s in splits]
    begin = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    padded = np.zeros((3, begin[-1]), np.uint64)
    shape, code = np.zeros((begin[-1], 4), np.uint8), np.zeros((begin[-1], 2), np.int32)
    for at, nodes in zip(begin, splits, strict=False):
        here = slice(at, at + len(nodes))
        padded[0, here], padded[1, here] = left[nodes], right[nodes]
        ends = np.searchsorted(nodes, _end_node(trees, nodes, end_leaf, first_leaf))
        shape[here] = np.c_[first_leaf[nodes], middle[nodes], np.searchsorted(nodes, trees.right[nodes]), ends]
        code[here] = np.c_[column[nodes], threshold[nodes]]
    leaves = mine & ~inner
    return Live(
        full=full,
        feature=features,
        cut_begin=np.concatenate([[0], np.cumsum([len(c) for c in cuts])]).astype(np.int32),
        cuts=np.concatenate([*cuts, np.empty(0, np.float32)]).astype(np.float32),
        row_begin=np.concatenate([[0], np.cumsum([len(c) + 2 for c in cuts])])[:-1].astype(np.int64),
        rows=np.ascontiguousarray(np.concatenate([*rows, np.zeros((0, len(chosen)), np.uint64)])),
        split_begin=begin,
        leaf_begin=np.concatenate([[0], np.cumsum(np.bincount(tree_of[leaves], minlength=len(place))[chosen])]),
        left=padded[0],
        right=padded[1],
        shape=shape,
        code=code,
        weights=np.concatenate([trees.value[(tree_of == tree) & ~inner] for tree in chosen]),
        depth=depth,
    )


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


def _end_node(trees: Trees, nodes: np.ndarray, end: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The node behind each node's subtree: a subtree of k leaves has 2k - 1 nodes."""
    return nodes + 2 * (end[nodes] - first[nodes]) - 1


def _bits(first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """uint64 with the bits first … end - 1 set, end at most 64 wherever it means something."""
    width = np.clip(end - first, 0, MOST).astype(np.uint64)
    ones = np.where(width > 0, np.uint64(0xFFFFFFFFFFFFFFFF) >> (np.uint64(64) - np.maximum(width, 1)), np.uint64(0))
    return (ones << np.clip(first, 0, MOST - 1).astype(np.uint64)).astype(np.uint64)
