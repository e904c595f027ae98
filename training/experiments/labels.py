"""Which unit and which arm a logged request belongs to, by the design of an experiment. Arrow and NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.store.replays import REPLAYED
from training.log.attribution import as_datetime64

NOBODY = -1
"""In place of an arm: the request does not count."""
GONE = -2
"""In place of an arm: the log names one that the definition does not have."""


class Label(Protocol):
    """Unit and arm of each request of a table of the serving log."""

    def units(self, table: pa.Table) -> pa.Array:
        """Names, string[n]; null: of nobody."""

    def arms(self, table: pa.Table) -> np.ndarray:
        """int64[n]: 0, 1, … or NOBODY or GONE."""


@dataclass(frozen=True)
class ByUser:
    """Users, in the arm that their requests were exposed to; without `arms` all that were exposed are one."""

    experiment: str
    arms_named: tuple[str, ...] = ()
    or_request: bool = False  # a request of nobody in particular is a unit of its own

    def units(self, table: pa.Table) -> pa.Array:
        """The users' ids as text."""
        users = users_of(table)
        return pc.coalesce(users, plain(table.column("request_id"))) if self.or_request else users

    def arms(self, table: pa.Table) -> np.ndarray:
        """By the logged exposure."""
        found = exposed(table, self.experiment, self.arms_named)
        return found if self.arms_named else np.where(found == GONE, 0, found)


@dataclass(frozen=True)
class ByWindow:
    """Windows of so many minutes, all requests of which had one arm. The first `carry_over` minutes are left out."""

    experiment: str
    arms_named: tuple[str, ...]
    minutes: int
    carry_over: float = 0.0

    def units(self, table: pa.Table) -> pa.Array:
        """Numbers of windows since 1970, as text."""
        return pa.array((minutes_of(table) // self.minutes).astype(np.int64).astype(str))

    def arms(self, table: pa.Table) -> np.ndarray:
        """By the logged exposure."""
        found = exposed(table, self.experiment, self.arms_named)
        return np.where(minutes_of(table) % self.minutes < self.carry_over, NOBODY, found)


@dataclass(frozen=True)
class ByDay:
    """Users without an experiment, and in place of the arm the day since a moment: what a power calculation reads."""

    since: np.datetime64

    def units(self, table: pa.Table) -> pa.Array:
        """The users' ids as text."""
        return users_of(table)

    def arms(self, table: pa.Table) -> np.ndarray:
        """Days of 24 hours. Replayed history was answered to nobody."""
        days = (as_datetime64(table.column("requested_at")) - self.since) // np.timedelta64(1, "D")
        replayed = pc.fill_null(pc.equal(plain(table.column("experiment")), REPLAYED), False)
        return np.where((days >= 0) & ~replayed.to_numpy(zero_copy_only=False), days.astype(np.int64), NOBODY)


def exposed(table: pa.Table, experiment: str, arms: Sequence[str]) -> np.ndarray:
    """int64[n]: the arm of an experiment that each request was exposed to; NOBODY, or GONE."""
    column = plain(table.column("exposure"))
    out = np.full(table.num_rows, NOBODY, np.int64)
    told = column.flatten()
    mine = pc.fill_null(pc.starts_with(told, f"{experiment}/"), False).to_numpy(zero_copy_only=False)
    row = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)[mine]
    named = pc.utf8_slice_codeunits(told.filter(pa.array(mine)), len(experiment) + 1)
    at = pc.index_in(named, value_set=pa.array(list(arms), pa.string())).fill_null(GONE)
    out[row] = at.to_numpy(zero_copy_only=False)
    return out


def users_of(table: pa.Table) -> pa.Array:
    """Ids of users as text, null where the request has none."""
    return plain(table.column("user_id")).cast(pa.string())


def minutes_of(table: pa.Table) -> np.ndarray:
    """Minutes since 1970, float64[n]."""
    return as_datetime64(table.column("requested_at")).astype(np.int64) / 60e6


def plain(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    array = column.combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
