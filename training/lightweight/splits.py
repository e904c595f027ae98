"""Which requests, by their time, fit the trees, which stop the boosting, and which the trees must never see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.log.moments import Moments
from training.log.tasks import LogWindow, bounds

TRAIN, VALID, LEFT_OUT = range(3)
"""What an example is for: it fits the trees, it stops the boosting, or it is none of this model's business."""

VALID_SHARE = 0.15
"""The latest share of a model's requests, which stops its boosting."""


@dataclass(frozen=True)
class TimeSplit:
    """One model's use of a client's requests. `share` of them is used, by hash of the request id; 1: all."""

    valid_from: np.datetime64
    without: tuple[LogWindow, ...] = ()  # times whose requests are left out
    share: float = 1.0
    stopping: LogWindow | None = None  # the requests that stop the boosting, where those are not the latest

    def roles(self, at: np.ndarray, draw: np.ndarray) -> np.ndarray:
        """int8[g] of requests at datetime64[us][g], with `draw` float[g] in [0, 1) each: TRAIN, VALID or LEFT_OUT."""
        stops = at >= self.valid_from if self.stopping is None else inside(self.stopping, at)
        roles = np.where(stops, VALID, TRAIN).astype(np.int8)
        for window in self.without:
            roles[inside(window, at)] = LEFT_OUT
        roles[draw >= self.share] = LEFT_OUT
        return roles

    def without_stopping(self) -> "TimeSplit":
        """The same requests, all of them to fit on: for trees whose number is known."""
        return replace(self, valid_from=np.datetime64("9999-12-31", "us"), stopping=None)

    def stopped_by(self, window: LogWindow) -> "TimeSplit":
        """The same requests, of which those in a window of time stop the boosting, and the others fit."""
        return replace(self, stopping=window)


def split_without(
    times: Moments, without: Sequence[LogWindow] = (), valid_share: float = VALID_SHARE, share: float = 1.0
) -> TimeSplit:
    """The split of requests at `times` that leaves `without` out; the latest of the rest stop it."""
    return TimeSplit(times.without(without).split(valid_share), tuple(without), share)


def inside(window: LogWindow, times: np.ndarray) -> np.ndarray:
    """bool[n]: which of datetime64[us][n] lie in a window."""
    low, high = bounds(window)
    return (times >= low) & (times < high)
