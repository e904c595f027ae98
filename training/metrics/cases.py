"""What metrics look at: one request in one order, one answer, or the predictions of one action. Arrays alone."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class OrderedRequest:
    """A logged request's n candidates, as the walk found them, and one order of them."""

    score: np.ndarray  # float[n], the order's
    order: np.ndarray  # int[n], rows from the best to the worst
    gain: np.ndarray  # float[n], the worth of what the user did with each
    shown: np.ndarray  # bool[n], shown or acted on: where the lack of an action says something
    impressed: np.ndarray  # bool[n], shown
    local: np.ndarray  # bool[n], in the user's locale
    stands_for: np.ndarray  # float[n], how many candidates each counts for: 1 / the rate that it was logged at
    teacher: np.ndarray | None  # float[n], the full ranker's score, NaN where it gave none


@dataclass(frozen=True)
class Answered:
    """A list of pins given, against those that were to be found."""

    hit: np.ndarray  # bool[n], best first
    wanted: int  # how many there were to find, whether or not they could be answered


@dataclass(frozen=True)
class Predictions:
    """What was predicted for N candidates and what came true. A field is None where a judge does not have it."""

    label: np.ndarray  # float[N], 0 or 1
    weight: np.ndarray  # float[N]
    probability: np.ndarray | None  # float[N]; None for scores that are none
    request: np.ndarray | None = None  # int[N], from 0
