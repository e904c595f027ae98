"""The loops of scoring on a CPU that torch would need many passes over memory for. Numba; knows nothing of torch."""

import math

import numpy as np
from numba import njit

_HUGE = 1e30
_CLIP = 6.0
_TILE = 32


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def piecewise(x, mean, scale, tail, count, node, length, start, slope, out):  # type: ignore[no-untyped-def]
    """Adds to out float32[R, W] what a linear layer over `Numeric`'s encoding of x float32[R, D] gives.

    Along one column that is a broken line in W dimensions: beyond node[d, j] (float32[D, M], count[d] of them, the
    first one the standardised 0) it is start[d, j] + slope[d, j] · (z - node[d, j]), both float32[D, M + 1, W], where
    the bracket stops at length[d, j]. A missing value takes the last start, whose slope is 0. D is a multiple of four.

    Rows go in tiles and columns in fours, so that a tile of `out` and four columns' lines stay in the first cache.
    """
    rows, columns = x.shape
    width = out.shape[1]
    last = node.shape[1]
    corner = np.empty((_TILE, columns), np.int64)  # the last one before each value
    far = np.empty((_TILE, columns), np.float32)
    for first in range(0, rows, _TILE):
        tile = min(_TILE, rows - first)

        # Which piece of its column's line each value falls on, and how far along.
        for row in range(tile):
            for column in range(columns):
                value = x[first + row, column]
                if math.isnan(value):
                    corner[row, column] = last
                    far[row, column] = np.float32(0.0)
                    continue
                value = min(max(value, np.float32(-_HUGE)), np.float32(_HUGE))
                if tail[column] > 0:
                    value = np.float32(math.copysign(math.log1p(abs(value)), value))
                z = min(max((value - mean[column]) * scale[column], np.float32(-_CLIP)), np.float32(_CLIP))
                j = 0
                for k in range(1, count[column]):
                    j += z >= node[column, k]
                corner[row, column] = j
                far[row, column] = min(z - node[column, j], length[column, j])

        # The sum of the columns' lines there.
        for c in range(0, columns, 4):
            for row in range(tile):
                target = out[first + row]
                f0 = far[row, c]
                f1 = far[row, c + 1]
                f2 = far[row, c + 2]
                f3 = far[row, c + 3]
                s0 = start[c, corner[row, c]]
                s1 = start[c + 1, corner[row, c + 1]]
                s2 = start[c + 2, corner[row, c + 2]]
                s3 = start[c + 3, corner[row, c + 3]]
                r0 = slope[c, corner[row, c]]
                r1 = slope[c + 1, corner[row, c + 1]]
                r2 = slope[c + 2, corner[row, c + 2]]
                r3 = slope[c + 3, corner[row, c + 3]]
                for w in range(width):
                    target[w] += (
                        (s0[w] + r0[w] * f0) + (s1[w] + r1[w] * f1) + (s2[w] + r2[w] * f2) + (s3[w] + r3[w] * f3)
                    )


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def mix(gate, bias, request, first, members, experts, out):  # type: ignore[no-untyped-def]
    """Each task's mixture of its experts: softmax over the task's gate, then the weighted sum.

    gate float32[N, T·E] and bias float32[B, T·E] add up; members int64[T, m] are the experts of a task, -1 padding;
    experts float32[E, N, O] → out float32[T, N, O]. `first` is the number of experts E.
    """
    tasks, most = members.shape
    share = np.empty(most, np.float32)
    for row in range(gate.shape[0]):
        own = bias[request[row]]
        for task in range(tasks):
            top = np.float32(-np.inf)
            for m in range(most):
                e = members[task, m]
                if e >= 0:
                    share[m] = gate[row, task * first + e] + own[task * first + e]
                    top = max(top, share[m])
            total = np.float32(0.0)
            for m in range(most):
                share[m] = np.float32(math.exp(share[m] - top)) if members[task, m] >= 0 else np.float32(0.0)
                total += share[m]
            target = out[task, row]
            for o in range(target.shape[0]):
                target[o] = 0.0
            for m in range(most):
                e = members[task, m]
                if e >= 0:
                    part = share[m] / total
                    source = experts[e, row]
                    for o in range(target.shape[0]):
                        target[o] += part * source[o]


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def heads(hidden, weight, bias, of_client, request, out):  # type: ignore[no-untyped-def]
    """Logits out float32[N, T], hidden float32[T, N, h] before its ReLU; weight [T, h], bias [T], of_client [B, T]."""
    tasks, rows, width = hidden.shape
    for task in range(tasks):
        for row in range(rows):
            total = bias[task] + of_client[request[row], task]
            for h in range(width):
                total += max(hidden[task, row, h], np.float32(0.0)) * weight[task, h]
            out[row, task] = total
