"""A linear layer over `Numeric`'s encoding, folded into one table look-up per column. CPU, inference only.

The encoding of a column (value, missing flag, piecewise-linear bins) followed by a linear layer is a broken line from
the column's value to the layer's outputs. Its corners are known once the model is trained, so 2 + bins inputs a column
become one multiply-add per output, and the wide encoding is never written to memory.
"""

import numpy as np

from training.ranker.batch import Floats
from training.ranker.kernels import piecewise
from training.ranker.numeric import Numeric


class FoldedNumeric:
    """`numeric` followed by the weight float32[W, numeric.out] of a linear layer (without its bias)."""

    def __init__(self, numeric: Numeric, weight: Floats) -> None:
        d, b = numeric.width, numeric.bins
        width = weight.shape[0]
        value = weight[:, :d].T
        missing = weight[:, d : 2 * d].T
        of_bin = weight[:, 2 * d :].T.reshape(d, b, width)
        edge = numeric.edge.numpy()
        step = numeric.step.numpy()
        self._extra = -d % 4  # the kernel takes columns in fours; those added are constant and add nothing
        padded = d + self._extra
        self._mean, self._scale, self._tail = (
            np.pad(t.numpy(), (0, self._extra)) for t in (numeric.mean, numeric.scale, numeric.tail)
        )
        # corners of a column: 0 (the line below its bins), the left edge of each bin, the end of the last one
        self._count = np.ones(padded, np.int64)
        self._node = np.zeros((padded, b + 2), np.float32)
        self._length = np.full((padded, b + 2), np.inf, np.float32)  # a steep bin must not run on over a rounding error
        self._start, self._slope = (np.zeros((padded, b + 3, width), np.float32) for _ in range(2))
        for c in range(d):
            self._start[c, -1] = missing[c]
            if not numeric.scale[c]:  # constant in training: what else comes counts as the same
                continue
            self._slope[c, 0] = value[c]
            full = np.zeros(width, np.float64)  # what the bins below add
            end = 0.0
            for k in np.flatnonzero(step[c, :b] > 0) if b else ():
                at = self._count[c]
                self._node[c, at] = edge[c, k]
                self._start[c, at] = full + edge[c, k] * value[c].astype(np.float64)
                self._slope[c, at] = value[c] + step[c, k] * of_bin[c, k]
                full += of_bin[c, k]
                self._length[c, at] = 1.0 / step[c, k]
                end = float(edge[c, k]) + 1.0 / float(step[c, k])
                self._count[c] += 1
            if self._count[c] > 1:
                at = self._count[c]
                self._node[c, at] = end
                self._start[c, at] = full + end * value[c].astype(np.float64)
                self._slope[c, at] = value[c]
                self._count[c] += 1

    def add_to(self, out: Floats, x: Floats) -> None:
        """Add the layer's outputs for x float32[R, D] to out float32[R, W], which is contiguous."""
        x = np.ascontiguousarray(np.pad(x, ((0, 0), (0, self._extra))) if self._extra else x, np.float32)
        piecewise(
            x,
            self._mean,
            self._scale,
            self._tail,
            self._count,
            self._node,
            self._length,
            self._start,
            self._slope,
            out,
        )
