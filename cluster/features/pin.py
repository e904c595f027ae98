"""Features of a pin alone: one number a pin, computed when a graph is built and stored with its bundle."""

from functools import partial

import numpy as np
import pyarrow as pa

from cluster.features.columns import category_column, numeric_column
from cluster.features.feature import Dtype, Feature, Side, of_each_action
from cluster.features.inputs import PinInput
from cluster.settings.project import FeatureSettings

US_PER_DAY = 86_400e6

PRIOR = 10.0
"""Actions that everybody's shares weigh in those of one pin."""

PIN = Side[PinInput, np.ndarray]("pin")


@PIN.feature(version=1)
def pin_degree(pins: PinInput) -> np.ndarray:
    """log1p of the number of boards that hold the pin."""
    # Popularity is that of the data: pruning flattens degrees, and would take from popular pins what they earned.
    return np.log1p(pins.degree)


@PIN.feature(version=1)
def pin_age_days(pins: PinInput) -> np.ndarray:
    """Days from the pin's creation to the newest edge; NaN when unknown."""
    if pins.table is None or pins.newest is None or pins.table["created_at"].null_count == len(pins.table):
        return np.full(len(pins.rows), np.nan, np.float32)
    created = pins.table["created_at"].cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy()
    return pins.gather(((pins.newest - created) / US_PER_DAY).astype(np.float32))


@PIN.feature(version=1)
def pin_recent_share(pins: PinInput) -> np.ndarray:
    """Share of the pin's edges in the newest tenth of time; NaN without saved_at."""
    return np.where(pins.dated > 0, pins.recent / np.maximum(pins.dated, 1), np.nan)


@PIN.feature(version=1)
def pin_actions(pins: PinInput) -> np.ndarray:
    """log1p of the users' actions on the pin; NaN without past actions."""
    return _logged(pins, None if pins.activity is None else pins.activity.total)


@PIN.feature(version=1)
def pin_week(pins: PinInput) -> np.ndarray:
    """log1p of those within the newest 7 days before the graph was built."""
    return _logged(pins, None if pins.activity is None else pins.activity.week)


@PIN.feature(version=1)
def pin_month(pins: PinInput) -> np.ndarray:
    """log1p of those within the newest 30 days before the graph was built."""
    return _logged(pins, None if pins.activity is None else pins.activity.month)


def action_shares(settings: FeatureSettings) -> tuple[Feature, ...]:
    """Which actions people take on a pin: a column for each action that is told apart."""
    return of_each_action("pin", "share_of", "smoothed share of an action", settings.history_actions, _share)


def own_pin_features(settings: FeatureSettings) -> tuple[Feature, ...]:
    """The columns of the pins input that pinfunnel.yaml names."""
    named: list[tuple[str, Dtype]] = [(name, "numeric") for name in settings.pin_numeric]
    named += [(name, "categorical") for name in settings.pin_categorical]
    read = {"numeric": _numeric, "categorical": _categorical}
    return tuple(
        Feature(f"pin_{name}", "pin", dtype, 1, "a column of the pins input", partial(read[dtype], name=name))
        for name, dtype in named
    )


def _logged(pins: PinInput, counts: np.ndarray | None) -> np.ndarray:
    return np.full(len(pins.rows), np.nan) if counts is None else np.log1p(counts)


def _share(pins: PinInput, code: int) -> np.ndarray:
    """The action's share of the pin's actions, drawn towards its share of all by PRIOR actions."""
    if pins.activity is None:
        return np.full(len(pins.rows), np.nan)
    counts, total = pins.activity.by_action[:, code], pins.activity.total
    everywhere = counts.sum() / max(int(total.sum()), 1)
    return (counts + PRIOR * everywhere) / (total + PRIOR)


def _numeric(pins: PinInput, name: str) -> np.ndarray:
    return pins.gather(numeric_column(pins.table, name))


def _categorical(pins: PinInput, name: str) -> np.ndarray:
    return pins.gather(category_column(pins.table, name))
