"""Explored requests of the serving log as draws for `off_policy`: which survivors could be drawn, and which were.

Survivors that the policy filtered out could not be drawn, and the log does not mark them. A request counts where none
can have been: where as many survivors stand behind the ranking's best as the logged chance says were drawn from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.schema import RANKED
from cluster.errors import DataError
from cluster.hashing import hash_ids
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.logs import LogStore
from training.experiments.labels import plain, users_of
from training.experiments.nearby import nearby_requests
from training.experiments.off_policy import LoggedDraws
from training.experiments.read import Span, moment_of
from training.log.arrays import ListColumn
from training.log.index import read_index
from training.log.tasks import LogWindow

Order = Literal["visits", "lightweight", "full"]
ORDERS = {"visits": "visit_score", "lightweight": "lightweight_score", "full": "full_score"}
"""Orders that a rule may go by, and the column of the log that each is read from."""
COLUMNS = ("user_id", "stage", "explored", "explored_dropped", "explored_rate", "dropped_rate", *ORDERS.values())

GUESSES = 8
"""Groups of ranks within which rewards are taken to be alike, for doubly robust estimates."""


@dataclass(frozen=True)
class ExploredRequest:
    """One request whose survivors were explored."""

    user: int
    drawn: np.ndarray  # bool[p], of the p survivors that could be drawn
    score: np.ndarray  # float[p], by which the rule to be valued orders them; NaN: last
    reward: np.ndarray  # float[p], 0 for what was not drawn
    rate: float  # chance of each to be drawn


def explored_pool(
    stage: np.ndarray, explored: np.ndarray, dropped: np.ndarray, explored_rate: float, from_dropped: float = 0.0
) -> np.ndarray | None:
    """Rows of the candidates that could be drawn, int[p]; None where the log cannot tell, or nothing was explored.

    `stage`, `explored` of all candidates; `dropped` the same of `explored_dropped`, or empty. `from_dropped`: slots
    that go to dropped candidates, in the mean (`sizes.explore` times `sizes.explore_dropped`).
    """
    if not explored_rate > 0:
        return None
    survived = explored & ~dropped if len(dropped) else explored
    pool = np.flatnonzero((stage == RANKED) | survived)
    slots = explored.sum() - from_dropped
    return pool if len(pool) == round(slots / explored_rate) else None


@dataclass(frozen=True)
class _Kept:
    """What an estimate needs of one request: few numbers a draw, and a number a group of its pool."""

    user: int
    chance: np.ndarray  # float[d], of the d draws
    group: np.ndarray  # int[d]
    reward: np.ndarray  # float[d]
    rate: float
    by_group: np.ndarray  # float[GUESSES]: chances of the whole pool, by group


class ExploredLog:
    """Requests that count, for the rule that fills the slots with the pool's best by score; and how many do not."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self.unsure = 0  # some survivor could not be drawn, and which one was not logged

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, one: ExploredRequest) -> None:
        """Take in a request."""
        chance = best_by(one.score, one.rate * len(one.score))
        group = _groups(one.score)
        by_group = np.bincount(group, chance, GUESSES)
        drawn = one.drawn
        self._kept.append(_Kept(one.user, chance[drawn], group[drawn], one.reward[drawn], one.rate, by_group))

    def draws(self) -> LoggedDraws:
        """Of all requests. Raises ValueError without any."""
        if not self._kept:
            raise ValueError("no request whose survivors were explored")
        users, user = np.unique([one.user for one in self._kept], return_inverse=True)
        fold = np.random.default_rng(0).integers(0, 2, len(users))[user]
        guess = self._guesses(fold)
        drawn = [len(one.chance) for one in self._kept]
        return LoggedDraws(
            request=np.repeat(np.arange(len(drawn)), drawn),
            propensity=np.repeat([one.rate for one in self._kept], drawn),
            chance=np.concatenate([one.chance for one in self._kept]),
            reward=np.concatenate([one.reward for one in self._kept]),
            user=user,
            slots=np.array([one.by_group.sum() for one in self._kept]),
            predicted=np.concatenate([guess[f][one.group] for f, one in zip(fold, self._kept, strict=True)]),
            promised=np.array([one.by_group @ guess[f] for f, one in zip(fold, self._kept, strict=True)]),
        )

    def _guesses(self, fold: np.ndarray) -> np.ndarray:
        """float[2, GUESSES]: mean reward of the draws of each group, of the users of the other fold."""
        sums = np.zeros((2, GUESSES))
        count = np.zeros((2, GUESSES))
        for one, mine in zip(self._kept, fold, strict=True):
            np.add.at(sums[1 - mine], one.group, one.reward)
            np.add.at(count[1 - mine], one.group, 1.0)
        return sums / np.maximum(count, 1.0)


def read_explored(
    project: Project, logs: LogStore, client: Client, order: Order, action: str, span: Span = (None, None)
) -> ExploredLog:
    """The client's explored requests for the rule that goes by a logged `order`; they are streamed in this process.

    Raises DataError where none was explored.
    """
    files = logs.serving_files(client.name, *span)
    if not files.files:
        raise DataError(f"client {client.name}: no logged requests in the time asked for")
    since, until = (None if at is None else moment_of(at) for at in span)
    index = read_index(files, LogWindow(since, until))
    column = project.actions.index(action)
    beyond = client.sizes.explore * client.sizes.explore_dropped
    out = ExploredLog()
    for table in nearby_requests(project, logs, files, index, COLUMNS):
        for one in _requests(table, order, column, len(project.actions), beyond):
            if one is None:
                out.unsure += 1
            else:
                out.add(one)
    if not len(out):
        why = "set `sizes.explore` in its file"
        if out.unsure:
            why = f"{out.unsure:,} were, but the policy left out survivors of each, and the log does not say which"
        raise DataError(f"client {client.name}: no request whose survivors were explored: {why}")
    return out


def _requests(
    table: pa.Table, order: Order, column: int, actions: int, beyond: float
) -> Iterator[ExploredRequest | None]:
    lists = [ListColumn(table.column(n)) for n in ("stage", "explored", "explored_dropped", ORDERS[order], "actions")]
    rates = plain(table.column("explored_rate")).fill_null(0).to_numpy(zero_copy_only=False)
    dropping = plain(table.column("dropped_rate")).is_valid().to_numpy(zero_copy_only=False)
    users = hash_ids(pc.coalesce(users_of(table), plain(table.column("request_id"))))
    for row in np.flatnonzero(rates > 0).tolist():
        stage, explored, dropped, score, did = (of[row] for of in lists)
        explored = explored.astype(bool)
        pool = explored_pool(stage, explored, dropped.astype(bool), rates[row], beyond if dropping[row] else 0.0)
        if pool is None:
            yield None
            continue
        drawn = explored[pool]
        reward = np.where(drawn, did.reshape(-1, actions)[pool, column] > 0, 0.0)
        yield ExploredRequest(int(users[row]), drawn, score[pool].astype(np.float64), reward, float(rates[row]))


def best_by(score: np.ndarray, slots: float) -> np.ndarray:
    """float[p]: chance of each pin when the best are shown; of a broken number of slots, the next with what is left."""
    order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
    out = np.zeros(len(score))
    whole = int(slots + 1e-9)
    out[order[:whole]] = 1.0
    if whole < len(score):
        out[order[whole]] = max(slots - whole, 0.0)
    return out


def _groups(score: np.ndarray) -> np.ndarray:
    """Of each pin, the group of its rank: the best 1/128, 1/64, … of the pool."""
    rank = np.argsort(np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable"), kind="stable")
    share = (rank + 1) / len(rank)
    return np.clip(GUESSES - 1 + np.ceil(np.log2(share)), 0, GUESSES - 1).astype(int)
