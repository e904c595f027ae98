"""Collapse trees by their masks (live.py) into the program of one request. Knows nothing of LLVM text or Ray.

The result is a program for the scan in llvm/scan.py. A tree of more than 32 live leaves becomes several chunks: each
has a run of the live leaves and, weighing minus zero, one leaf of every live subtree beside it. Minus zero adds nothing
to any float.
"""

import numpy as np
from numba import carray, njit

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

# Places in a model's frame, int64: numbers and the addresses of the arrays in forest_live.Live.
TREES, FEATURES, DEPTH, FULL, FEATURE, CUT_BEGIN, CUTS, ROW_BEGIN, ROWS = range(9)
SPLIT_BEGIN, LEAF_BEGIN, LEFT, RIGHT, SHAPE, CODE, WEIGHTS, MODEL_WORDS = range(9, 17)
# Places in a program's frame.
SPLITS, SIZES, TABLES, BASE, CHUNKS, WRITTEN, LIVE, PROGRAM_WORDS = range(8)

_ONE, _NONE = np.uint64(1), np.uint64(0)


@njit(cache=True, nogil=True)
def find_live(model, shared, live):  # type: ignore[no-untyped-def]
    """The live leaves of every tree, uint64[T] into `live`, for the shared features."""
    trees = model[TREES]
    full = carray(uint64_at(model[FULL]), trees)
    for tree in range(trees):
        live[tree] = full[tree]
    feature = carray(int32_at(model[FEATURE]), model[FEATURES])
    cut_begin = carray(int32_at(model[CUT_BEGIN]), model[FEATURES] + 1)
    row_begin = carray(int64_at(model[ROW_BEGIN]), model[FEATURES])
    for f in range(model[FEATURES]):
        x = shared[np.uint32(feature[f])]
        count = cut_begin[f + 1] - cut_begin[f]
        cuts = carray(float32_at(model[CUTS] + 4 * cut_begin[f]), count)
        row = np.int32(0)
        for i in range(count):
            row += np.int32(x >= cuts[i])
        if x != x:
            row = count + 1
        keep = carray(uint64_at(model[ROWS] + 8 * trees * (row_begin[f] + row)), trees)
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
    rank, rest = _NONE, stay
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
    last_leaf, rest = first_leaf, run
    while rest != _NONE:
        last_leaf = rest & (~rest + _ONE)
        rest &= rest - _ONE
    out, rest = _NONE, stay
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
    trees = model[TREES]
    live_of = carray(uint64_at(made[LIVE]), trees)
    find_live(model, shared, live_of)
    split_begin = carray(int64_at(model[SPLIT_BEGIN]), trees + 1)
    leaf_begin = carray(int64_at(model[LEAF_BEGIN]), trees + 1)
    total = split_begin[trees]
    left, right = carray(uint64_at(model[LEFT]), total), carray(uint64_at(model[RIGHT]), total)
    weights = carray(float32_at(model[WEIGHTS]), leaf_begin[trees])
    sizes = carray(int32_at(made[SIZES]), 1 << 30)
    chunks, end = 0, 0
    for tree in range(trees):
        live, first, last = live_of[tree], split_begin[tree], split_begin[tree + 1]
        shape = carray(uint8_at(model[SHAPE] + 4 * first), (64, 4))
        code = carray(int32_at(model[CODE] + 8 * first), (64, 2))
        stay = staying(model[LEFT], model[RIGHT], first, last, live)
        rest, count, room = live, popcount(live), np.uint64(SLOTS)
        if count > room:
            room -= np.uint64(2 * model[DEPTH])
        while rest != _NONE:
            run, all_live, all_stay = rest, rest, stay
            if count > np.uint64(SLOTS):
                rest = run
                for _ in range(room):
                    rest &= rest - _ONE
                run &= ~rest
                all_live = run | beside(left, right, first, stay, live, run)
                all_stay = staying(model[LEFT], model[RIGHT], first, last, all_live)
            else:
                rest = _NONE
            splits = carray(int32_at(made[SPLITS] + 16 * end), (64, 4))
            written = write_splits(shape, code, all_live, all_stay, splits)
            table = carray(float32_at(made[TABLES] + 4 * SLOTS * chunks), SLOTS)
            leaf = 0
            while all_live != _NONE:
                at = lowest(all_live)
                mine = (run >> at) & _ONE != _NONE
                table[leaf] = weights[np.uint64(leaf_begin[tree]) + at] if mine else np.float32(-0.0)
                all_live &= all_live - _ONE
                leaf += 1
            sizes[chunks] = written
            chunks, end = chunks + 1, end + written
    made[CHUNKS], made[WRITTEN] = chunks, end
