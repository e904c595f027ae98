"""Collapse trees by their masks (live.py) into the program of one request. Knows nothing of LLVM text or Ray.

The result is a program for the scan in llvm/scan.py. A tree of more than 32 live leaves becomes several chunks: each
has a run of the live leaves and, weighing minus zero, one leaf of every live subtree beside it. Minus zero adds nothing
to any float.
"""

import numpy as np
from numba import carray, njit

from serving.forest.engine import frames
from serving.forest.engine.calls import (
    both_alive,
    float32_at,
    int32_at,
    int64_at,
    lowest,
    popcount,
    uint8_at,
    uint64_at,
)
from serving.forest.llvm.scan import SLOTS

_ONE = np.uint64(1)
_NONE = np.uint64(0)


@njit(cache=True, nogil=True)
def find_live(model, shared, live):  # type: ignore[no-untyped-def]
    """The live leaves of every tree, uint64[T] into `live`, for the shared features."""
    trees = model[frames.TREES]
    full = carray(uint64_at(model[frames.FULL]), trees)
    for tree in range(trees):
        live[tree] = full[tree]
    feature = carray(int32_at(model[frames.FEATURE]), model[frames.FEATURES])
    cut_begin = carray(int32_at(model[frames.CUT_BEGIN]), model[frames.FEATURES] + 1)
    row_begin = carray(int64_at(model[frames.ROW_BEGIN]), model[frames.FEATURES])
    for f in range(model[frames.FEATURES]):
        x = shared[np.uint32(feature[f])]
        count = cut_begin[f + 1] - cut_begin[f]
        cuts = carray(float32_at(model[frames.CUTS] + 4 * cut_begin[f]), count)
        row = np.int32(0)
        for i in range(count):
            row += np.int32(x >= cuts[i])
        if x != x:
            row = count + 1
        keep = carray(uint64_at(model[frames.ROWS] + 8 * trees * (row_begin[f] + row)), trees)
        for tree in range(trees):
            live[tree] &= keep[tree]


@njit(cache=True, nogil=True)
def staying(left, right, first, end, live):  # type: ignore[no-untyped-def]
    """Which of the splits [first, end) have live leaves on both sides, as a uint64; left and right are addresses."""
    stay = _NONE
    for i in range(first, end, 8):
        stay |= both_alive(left + 8 * i, right + 8 * i, live) << np.uint64(i - first)
    return stay


@njit(cache=True, nogil=True)
def write_splits(shape, code, live, stay, splits):  # type: ignore[no-untyped-def]
    """Write the splits of one tree that stay; leaf numbers count the leaves in `live`. Returns how many."""
    rank = _NONE
    rest = stay
    while rest != _NONE:
        i = lowest(rest)
        rest &= rest - _ONE
        number = popcount(live & ((_ONE << np.uint64(shape[i, 0])) - _ONE))
        next_number = popcount(live & ((_ONE << np.uint64(shape[i, 1])) - _ONE))
        before_right = popcount(stay & ((_ONE << np.uint64(shape[i, 2])) - _ONE))
        before_end = popcount(stay & ((_ONE << np.uint64(shape[i, 3])) - _ONE))
        next_rank = rank + _ONE
        splits[rank, 0] = code[i, 0]
        splits[rank, 1] = code[i, 1]
        splits[rank, 2] = np.int32(np.uint64(SLOTS) + next_rank if before_right > next_rank else number)
        splits[rank, 3] = np.int32(np.uint64(SLOTS) + before_right if before_end > before_right else next_number)
        rank = next_rank
    return np.int64(rank)


@njit(cache=True, nogil=True)
def beside(left, right, first, stay, live, run):  # type: ignore[no-untyped-def]
    """One live leaf of every live subtree that hangs off the paths to the first and the last leaf of `run`."""
    first_leaf = run & (~run + _ONE)
    last_leaf = first_leaf
    rest = run
    while rest != _NONE:
        last_leaf = rest & (~rest + _ONE)
        rest &= rest - _ONE
    out = _NONE
    rest = stay
    while rest != _NONE:
        i = np.int64(first) + np.int64(lowest(rest))
        rest &= rest - _ONE
        if right[i] & first_leaf != _NONE:
            other = live & left[i]
            out |= other & (~other + _ONE)
        if left[i] & last_leaf != _NONE:
            other = live & right[i]
            out |= other & (~other + _ONE)
    return out


@njit(cache=True, nogil=True)
def specialise(model, made, shared):  # type: ignore[no-untyped-def]
    """Write the program of one request into the arrays that the frame `made` names."""
    trees = model[frames.TREES]
    split_begin = carray(int64_at(model[frames.SPLIT_BEGIN]), trees + 1)
    leaf_begin = carray(int64_at(model[frames.LEAF_BEGIN]), trees + 1)
    total = split_begin[trees]
    left = carray(uint64_at(model[frames.LEFT]), total)
    right = carray(uint64_at(model[frames.RIGHT]), total)
    weights = carray(float32_at(model[frames.WEIGHTS]), leaf_begin[trees])
    sizes = carray(int32_at(made[frames.SIZES]), 1 << 30)

    # The live leaves of all trees.
    live_of = carray(uint64_at(made[frames.LIVE]), trees)
    find_live(model, shared, live_of)

    chunks = 0
    end = 0
    for tree in range(trees):
        # What stays of a tree, and how many leaves of it go into a chunk.
        live = live_of[tree]
        first = split_begin[tree]
        last = split_begin[tree + 1]
        shape = carray(uint8_at(model[frames.SHAPE] + 4 * first), (64, 4))
        code = carray(int32_at(model[frames.CODE] + 8 * first), (64, 2))
        stay = staying(model[frames.LEFT], model[frames.RIGHT], first, last, live)
        count = popcount(live)
        room = np.uint64(SLOTS)
        if count > room:
            room -= np.uint64(2 * model[frames.DEPTH])
        rest = live
        while rest != _NONE:
            # The next run of live leaves, and one leaf of each live subtree beside it.
            run = rest
            all_live = rest
            all_stay = stay
            if count > np.uint64(SLOTS):
                for _ in range(room):
                    rest &= rest - _ONE
                run &= ~rest
                all_live = run | beside(left, right, first, stay, live, run)
                all_stay = staying(model[frames.LEFT], model[frames.RIGHT], first, last, all_live)
            else:
                rest = _NONE

            # Its splits.
            splits = carray(int32_at(made[frames.SPLITS] + 16 * end), (64, 4))
            written = write_splits(shape, code, all_live, all_stay, splits)

            # Its table of weights: minus zero for the leaves beside the run.
            table = carray(float32_at(made[frames.TABLES] + 4 * SLOTS * chunks), SLOTS)
            leaf = 0
            while all_live != _NONE:
                bit = lowest(all_live)
                mine = (run >> bit) & _ONE != _NONE
                table[leaf] = weights[np.uint64(leaf_begin[tree]) + bit] if mine else np.float32(-0.0)
                all_live &= all_live - _ONE
                leaf += 1

            sizes[chunks] = written
            chunks += 1
            end += written
    made[frames.CHUNKS] = chunks
    made[frames.WRITTEN] = end
