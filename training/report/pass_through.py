"""How far each source's candidates come, counted in the serving log: past each stage, into the answer, to an action.

Ray Data counts piece by piece; what is added up here are counts. Only answers that were served count: replayed history
has none, and logs from before there were several sources do not say who found what.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.data.schema import IMPRESSED, RANKED
from cluster.hashing import hash_ids
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.logs import LogStore
from cluster.store.replays import REPLAYED
from training.log.arrays import SOURCES, ListColumn, LoggedSources
from training.log.requests import join_logs, logged_clients
from training.log.tasks import LogWindow
from training.metrics.intervals import Interval, bootstrap

STEPS = ("found", "survived", "chosen", "answered", "acted")
"""A candidate · the lightweight stage kept it · the ranking had it among its best, as many as were answered (the full
ranker, where that has no score the lightweight one) · it was in the answer · and was acted on."""

ALL = ""
"""In place of a source's name: the candidates of all of them, each once. Its `alone` are those of a single source."""

UNITS = 1024
"""Users are put together into so many groups by hash, and groups are resampled: a log has more users than fit."""

LISTS = ("stage", "explored_dropped", "lightweight_score", "full_score")
COLUMNS = ("user_id", "experiment", *LISTS, *SOURCES)
REPLAYS, OLD = "replayed", "without_sources"
COUNTS = ("requests", *STEPS, *(f"alone_{step}" for step in STEPS), REPLAYS, OLD)
KEY = pa.schema([("client", pa.string()), ("source", pa.string()), ("unit", pa.int64())])


@dataclass(frozen=True)
class CountSources:
    """Joined requests → counts by client, source and group of users. `good`: columns of `actions` by client."""

    good: Mapping[str, tuple[int, ...]]
    actions: int  # columns in all

    def __call__(self, table: pa.Table) -> pa.Table:
        """Columns `KEY` and `COUNTS`; the last two say how many requests do not count, and why."""
        sums: dict[tuple[str, str, int], np.ndarray] = {}
        for key, counts in self._requests(table.combine_chunks()):
            sums[key] = sums.get(key, 0) + counts
        keys = pa.Table.from_pylist([dict(zip(KEY.names, key, strict=True)) for key in sums], KEY)
        for name, values in zip(COUNTS, np.array([*sums.values()], np.int64).reshape(-1, len(COUNTS)).T, strict=True):
            keys = keys.append_column(name, pa.array(values))
        return keys

    def _requests(self, table: pa.Table) -> Iterable[tuple[tuple[str, str, int], np.ndarray]]:
        if not table.num_rows:
            return
        lists = [ListColumn(table.column(name)) for name in (*LISTS, "actions")]
        sources = LoggedSources(table)
        unit = hash_ids(table.column("user_id")) % UNITS
        clients, experiments = table.column("client").to_pylist(), table.column("experiment").to_pylist()
        for row, (client, experiment) in enumerate(zip(clients, experiments, strict=True)):
            stage, dropped, lightweight, full, actions = (column[row] for column in lists)
            found = sources.of(row)
            everything = client, ALL, int(unit[row])
            if experiment == REPLAYED or found is None:
                why = REPLAYS if experiment == REPLAYED else OLD
                yield everything, np.array([name == why for name in COUNTS], np.int64)
                continue
            did = actions.reshape(-1, self.actions)[:, list(self.good[client])]
            survived = (stage >= RANKED) & ~dropped.astype(bool) if len(dropped) else stage >= RANKED
            steps = steps_of(survived, stage >= IMPRESSED, lightweight, full, did)
            by = found.rank >= 0
            alone = by.sum(axis=1) == 1
            yield everything, _counts(steps, alone)
            for column, name in enumerate(found.names):
                mine = by[:, column]
                yield (client, name, int(unit[row])), _counts(steps[mine], alone[mine])


def steps_of(
    survived: np.ndarray, answered: np.ndarray, lightweight: np.ndarray, full: np.ndarray, did: np.ndarray
) -> np.ndarray:
    """bool[n, 5]: which of `STEPS` each candidate of one request took.

    `survived`, `answered` bool[n], scores float32[n], NaN where there is none, `did` float32[n, A] of actions
    that count.
    """
    rows = np.flatnonzero(survived)
    first, second = (np.where(np.isnan(score[rows]), np.inf, -score[rows]) for score in (full, lightweight))
    chosen = np.zeros(len(survived), bool)
    chosen[rows[np.lexsort((second, first))][: answered.sum()]] = True
    return np.stack(
        [np.ones(len(survived), bool), survived, chosen, answered, answered & (did > 0).any(axis=1)], axis=1
    )


def _counts(steps: np.ndarray, alone: np.ndarray) -> np.ndarray:
    return np.array([1, *steps.sum(axis=0), *steps[alone].sum(axis=0), 0, 0], np.int64)


def pass_through(
    project: Project,
    clients: Mapping[str, Client],
    logs: LogStore,
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, dict[str, Any]]:
    """A report, as JSON has it, of each client with logged requests in [since, until). Raises DataError without any."""
    able = logged_clients(clients, logs, since, until)
    joined = join_logs(project, logs, list(able), since, until, silent_users=True)
    good = {name: good_actions(project, client) for name, client in able.items()}
    counted = joined.requests(COLUMNS, {name: LogWindow() for name in able}).map_batches(
        CountSources(good, len(project.actions)), batch_format="pyarrow", batch_size=None
    )
    sums: dict[tuple[str, str], np.ndarray] = {}
    for part in counted.iter_batches(batch_size=None, batch_format="pandas"):
        for key, rows in part.groupby(["client", "source"]):
            counts = sums.setdefault(key, np.zeros((UNITS, len(COUNTS)), np.int64))
            np.add.at(counts, rows["unit"].to_numpy(), rows[list(COUNTS)].to_numpy())
    return {
        name: _report({s: of for (c, s), of in sums.items() if c == name}, joined.notes)
        for name in able
        if (name, ALL) in sums
    }


def good_actions(project: Project, client: Client) -> tuple[int, ...]:
    """Columns of the action matrix that say that somebody liked a pin: of positive weight in the client's labels."""
    weights = client.labels.action_weights
    liked = {name for name, weight in weights.items() if weight > 0} - set(project.negative_actions)
    return tuple(column for column, name in enumerate(project.actions) if name in liked)


def _report(sums: Mapping[str, np.ndarray], notes: Iterable[str]) -> dict[str, Any]:
    """Of one client: `COUNTS` by source and group of users, int64[UNITS, counts] each."""
    by_name = {source: dict(zip(COUNTS, counts.T, strict=True)) for source, counts in sorted(sums.items())}
    every = by_name.pop(ALL)
    return {
        "requests": int(every["requests"].sum()),
        "left_out": {name: int(every[name].sum()) for name in (REPLAYS, OLD)},
        "notes": list(notes),
        "all": _of_source(every, every),
        "sources": {name: _of_source(counts, every) for name, counts in by_name.items()},
    }


def _of_source(counts: Mapping[str, np.ndarray], every: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """`passed`: of what the source found; `liked`: acted on, of what was answered; `of_all`: of all sources' pins."""
    return {
        **{name: int(counts[name].sum()) for name in COUNTS[:-2]},
        "passed": {step: share(counts[step], counts["found"]).to_dict() for step in STEPS[1:]},
        "liked": share(counts["acted"], counts["answered"]).to_dict(),
        "of_all": {step: share(counts[step], every[step]).to_dict() for step in STEPS},
        "alone_of_all": {step: share(counts[f"alone_{step}"], every[step]).to_dict() for step in STEPS},
    }


def share(part: np.ndarray, whole: np.ndarray) -> Interval:
    """Of counts by group of users: the share of all, with an interval of resampled groups."""
    return bootstrap(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0), whole)
