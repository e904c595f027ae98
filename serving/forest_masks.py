"""Collapse trees of up to 64 leaves by bit masks, without a branch per split. Knows nothing of LLVM text or Ray.

A leaf is a bit. A split on a shared feature keeps the leaves of one side: the AND over a tree's shared splits leaves
the live leaves. A split on another feature stays if live leaves stand on both its sides; of the splits that stay
below a child, the first in preorder is the one all the others hang from.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from serving.forest_model import Trees

SLOTS = 32
MOST = 64  # leaves of a tree


@intrinsic
def popcount(context: Any, word: Any) -> Any:
    """Number of set bits of a uint64."""
    return types.uint64(types.uint64), lambda _, builder, __, values: builder.ctpop(values[0])


@intrinsic
def lowest(context: Any, word: Any) -> Any:
    """Position of the lowest set bit of a uint64 that is not 0."""

    def generate(_: Any, builder: Any, __: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@dataclass(frozen=True)
class Masks:
    """The masks of an output's trees: rows of `trees` are (first shared split, first other split, first leaf).

    `test` float32 and `tested` int32 [shared splits, 2] (feature, default left); `keep` uint64[shared splits, 2]
    (leaves if right, if left); `sides` uint64[other splits, 4] (leaves left, right; splits left, right); `code`
    int32[other splits, 2] (column, threshold); `weights` float32[leaves]. `fits` is False beyond 64 leaves.
    """

    trees: np.ndarray
    fits: np.ndarray
    tested: np.ndarray
    test: np.ndarray
    keep: np.ndarray
    sides: np.ndarray
    code: np.ndarray
    weights: np.ndarray


def build_masks(trees: Trees, group: int, column: np.ndarray, threshold: np.ndarray, n_resolved: int) -> Masks:
    """The masks of the trees of output `group`; features below `n_resolved` are the shared ones."""
    rows, fits = [(0, 0, 0)], []
    tested: list[tuple[int, int]] = []
    test: list[float] = []
    keep: list[tuple[int, int]] = []
    sides: list[tuple[int, int, int, int]] = []
    code: list[tuple[int, int]] = []
    weights: list[float] = []
    full = (1 << MOST) - 1
    for tree in np.flatnonzero(trees.group == group):
        first, last = int(trees.roots[tree]), int(trees.roots[tree + 1])
        nodes = range(first, last)
        leaf_nodes = [i for i in nodes if trees.feature[i] < 0]
        fits.append(len(leaf_nodes) <= MOST)
        if fits[-1]:
            leaf_at = {node: k for k, node in enumerate(leaf_nodes)}
            others = [i for i in nodes if trees.feature[i] >= n_resolved]
            split_at = {node: k for k, node in enumerate(others)}
            leaves, splits = [0] * (last - first), [0] * (last - first)
            for i in reversed(nodes):
                if trees.feature[i] < 0:
                    leaves[i - first] = 1 << leaf_at[i]
                else:
                    left, right = int(trees.left[i]) - first, int(trees.right[i]) - first
                    leaves[i - first] = leaves[left] | leaves[right]
                    splits[i - first] = splits[left] | splits[right] | (1 << split_at[i] if i in split_at else 0)
            for i in nodes:
                if trees.feature[i] < 0:
                    continue
                left, right = int(trees.left[i]) - first, int(trees.right[i]) - first
                if i in split_at:
                    sides.append((leaves[left], leaves[right], splits[left], splits[right]))
                    code.append((int(column[i]), int(threshold[i])))
                else:
                    tested.append((int(trees.feature[i]), int(trees.default_left[i])))
                    test.append(float(trees.value[i]))
                    keep.append((full ^ leaves[left], full ^ leaves[right]))
            weights += [float(trees.value[i]) for i in leaf_nodes]
        rows.append((len(tested), len(sides), len(weights)))
    return Masks(
        trees=np.asarray(rows, np.int64),
        fits=np.asarray(fits, np.bool_),
        tested=np.asarray(tested, np.int32).reshape(-1, 2),
        test=np.asarray(test, np.float32),
        keep=np.asarray(keep, np.uint64).reshape(-1, 2),
        sides=np.asarray(sides, np.uint64).reshape(-1, 4),
        code=np.asarray(code, np.int32).reshape(-1, 2),
        weights=np.asarray(weights, np.float32),
    )


@njit(cache=True, nogil=True)
def live_leaves(tested, test, keep, first, last, leaves, shared):  # type: ignore[no-untyped-def]
    """The leaves of one tree that the shared features leave possible, as a uint64."""
    live = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - leaves)
    for i in range(first, last):
        x = shared[np.uint32(tested[i, 0])]
        left = (x < test[i]) | ((x != x) & (tested[i, 1] != 0))
        live &= keep[i, np.uint32(left)]
    return live


@njit(cache=True, nogil=True)
def emit_masks(sides, code, first, last, live, splits, begin):  # type: ignore[no-untyped-def]
    """Write the splits of one tree that stay, from `begin` on; returns their end."""
    zero, one = np.uint64(0), np.uint64(1)
    stay = zero
    for i in range(first, last):
        both = ((live & sides[i, 0]) != zero) & ((live & sides[i, 1]) != zero)
        stay |= np.uint64(both) << np.uint64(i - first)
    end, rest = begin, stay
    while rest != zero:
        i = np.uint64(first) + lowest(rest)
        rest &= rest - one
        left_leaves, left_splits, right_splits = sides[i, 0], stay & sides[i, 2], stay & sides[i, 3]
        number = popcount(live & ((left_leaves & (~left_leaves + one)) - one))
        next_number = number + popcount(live & left_leaves)
        left = np.uint64(SLOTS) + popcount(stay & ((left_splits & (~left_splits + one)) - one))
        right = np.uint64(SLOTS) + popcount(stay & ((right_splits & (~right_splits + one)) - one))
        splits[end, 0] = code[i, 0]
        splits[end, 1] = code[i, 1]
        splits[end, 2] = np.int32(left if left_splits != zero else number)
        splits[end, 3] = np.int32(right if right_splits != zero else next_number)
        end += 1
    return end
