"""How many pins each source is asked for: full quotas, or learned ones at the present price of compute.

The price rises while requests use more of their deadline than the client's `allotment.busy`, and falls back when they
do not: under load the funnel scores fewer candidates before it loses whole stages. Knows nothing of Ray, HTTP or disk.
"""

import threading

import numpy as np

from cluster.settings.clients import Client
from serving.candidates.query import Query
from training.quotas.demand import known_of
from training.quotas.learned import LearnedQuotas

LEAST = 1.0
MOST = 64.0
"""Bounds of the price's factor; at the upper one next to nothing is bought but the best blocks."""

GAIN = 0.25
"""How fast the factor follows: a request that used twice its share raises it by a quarter."""


class ComputePrice:
    """A factor on the learned price, moved by how much of its time each request needs. Thread-safe."""

    def __init__(self, busy: float):
        self._busy = busy
        self._factor = LEAST
        self._lock = threading.Lock()

    @property
    def factor(self) -> float:
        """1 while there is time enough."""
        return self._factor

    def note(self, used: float) -> None:
        """A request needed the share `used` of its deadline."""
        with self._lock:
            step = np.exp(GAIN * (min(used, 2.0) / self._busy - 1.0))
            self._factor = float(np.clip(self._factor * step, LEAST, MOST))


class Quotas:
    """One client's."""

    def __init__(self, client: Client):
        self._full = client.quotas
        self._full_share = client.allotment.full_share
        self._table: LearnedQuotas | None = None
        self.price = ComputePrice(client.allotment.busy)

    def load(self, table: LearnedQuotas | None) -> None:
        """Take learned quotas from now on; None: full ones."""
        self._table = table

    def budgets(self, query: Query) -> dict[str, int]:
        """Most pins of each source. A small share of the requests, drawn by their seeds, asks for full quotas."""
        table = self._table
        if table is None or np.random.default_rng([query.ask.seed, 3]).random() < self._full_share:
            return self._full
        known = known_of(len(query.pins), query.actions)
        learned = dict(zip(table.sources, table.quotas(known, self.price.factor).tolist(), strict=True))
        return {name: min(quota, learned.get(name, quota)) for name, quota in self._full.items()}
