"""Collapse trees of any size by traversing them, where masks do not reach (live.py). Knows nothing of LLVM or Ray.

The result is a program for the scan in llvm/scan.py. A tree of more than 32 live leaves becomes several chunks, each
with 30 of the leaves at most and minus zero for the others, which adds nothing to any float.
"""

import numpy as np
from numba import njit

from serving.forest.bins import BinPlan
from serving.forest.llvm.scan import SLOTS
from serving.forest.model import Trees

# The words of a node, int32[8]; VALUE is a float32 in the same memory.
LEFT, RIGHT, FEATURE, VALUE, DEFAULT_LEFT, COLUMN, THRESHOLD = range(7)
PART = 30  # leaves of its own in a chunk of a tree that has more than a chunk holds


def pack(trees: Trees, plan: BinPlan) -> np.ndarray:
    """int32[nodes, 8]: all that the traversal reads of a node, side by side."""
    nodes = np.zeros((len(trees.left), 8), np.int32)
    nodes[:, LEFT] = trees.left
    nodes[:, RIGHT] = trees.right
    nodes[:, FEATURE] = trees.feature
    nodes[:, VALUE] = trees.value.view(np.int32)
    nodes[:, DEFAULT_LEFT] = trees.default_left
    nodes[:, COLUMN] = plan.column
    nodes[:, THRESHOLD] = plan.threshold
    return nodes


@njit(cache=True, nogil=True)
def resolve(ints, floats, node, shared):  # type: ignore[no-untyped-def]
    """Follow the splits on shared features down to the first split on another feature, or a leaf."""
    feature = ints[node, FEATURE]
    while 0 <= feature < shared.shape[0]:
        x = shared[feature]
        if np.isnan(x):
            node = ints[node, LEFT] if ints[node, DEFAULT_LEFT] else ints[node, RIGHT]
        else:
            node = ints[node, LEFT if x < floats[node, VALUE] else RIGHT]
        feature = ints[node, FEATURE]
    return node


@njit(cache=True, nogil=True)
def collapse(ints, floats, root, shared, kept, weights, stack):  # type: ignore[no-untyped-def]
    """The live tree in preorder: kept[i] = node, left, right (i, or ~leaf), first and last + 1 leaf below."""
    count = 0
    leaves = 0
    depth = 0
    node = root
    parent = -1
    side = 1
    while True:
        node = resolve(ints, floats, node, shared)
        if ints[node, FEATURE] < 0:
            weights[leaves] = floats[node, VALUE]
            if parent >= 0:
                kept[parent, side] = ~leaves
            leaves += 1
            if depth == 0:
                break
            depth -= 1  # the right-hand side of the last split whose left-hand side is done
            node = stack[depth, 0]
            parent = stack[depth, 1]
            side = 2
        else:
            if parent >= 0:
                kept[parent, side] = count
            kept[count, 0] = node
            kept[count, 3] = leaves
            stack[depth, 0] = ints[node, RIGHT]
            stack[depth, 1] = count
            depth += 1
            node = ints[node, LEFT]
            parent = count
            side = 1
            count += 1
    for i in range(count - 1, -1, -1):  # children stand behind their parents
        right = kept[i, 2]
        kept[i, 4] = ~right + 1 if right < 0 else kept[right, 4]
    return count, leaves


@njit(cache=True, nogil=True)
def emit_part(ints, kept, len_kept, weights, first, last, splits, begin, table, stack):  # type: ignore[no-untyped-def]
    """Write the chunk of the leaves [first, last): others before are number 0, others behind the highest."""
    shift = 1 if first > 0 else 0
    behind = last - first + shift
    table[:] = np.float32(-0.0)
    for leaf in range(first, last):
        table[leaf - first + shift] = weights[leaf]
    flat = splits.reshape(-1)
    end = begin
    depth = 0
    if len_kept == 0:
        return end
    child = np.int64(0)
    field = np.int64(-1)  # the word of `flat` that names the child's slot
    while True:
        low = ~child if child < 0 else kept[child, 3]
        high = ~child + 1 if child < 0 else kept[child, 4]
        if high <= first or low >= last or child < 0:
            number = 0 if high <= first else (behind if low >= last else low - first + shift)
            flat[field] = number
            if depth == 0:
                return end
            depth -= 1
            child = stack[depth, 0]
            field = stack[depth, 1]
        else:
            if field >= 0:
                flat[field] = SLOTS + end - begin
            splits[end, 0] = ints[kept[child, 0], COLUMN]
            splits[end, 1] = ints[kept[child, 0], THRESHOLD]
            stack[depth, 0] = kept[child, 2]
            stack[depth, 1] = 4 * end + 3
            depth += 1
            child = kept[child, 1]
            field = 4 * end + 2
            end += 1


@njit(cache=True, nogil=True)
def traverse(ints, floats, roots, shared, splits, sizes, tables, stack, kept, weights):  # type: ignore[no-untyped-def]
    """Write the program of the trees at `roots` for `shared`. Returns (chunks, splits) written.

    ints int32[nodes, 8] and floats, the same memory as float32; splits int32[·, 4]; sizes int32[chunks]; tables
    float32[chunks, 32]; stack, kept, weights: scratch of the largest tree's size.
    """
    chunks = 0
    end = 0
    for tree in range(len(roots)):
        splits_kept, leaves = collapse(ints, floats, roots[tree], shared, kept, weights, stack)
        parts = 1 if leaves <= SLOTS else (leaves + PART - 1) // PART
        for part in range(parts):
            first = leaves * part // parts
            last = leaves * (part + 1) // parts
            after = emit_part(ints, kept, splits_kept, weights, first, last, splits, end, tables[chunks], stack)
            sizes[chunks] = after - end
            chunks += 1
            end = after
    return chunks, end
