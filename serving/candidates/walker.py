"""The walker stage: from a user and query pins to candidates. `WalkerLogic` knows nothing of Ray, HTTP or metrics."""

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.settings.clients import Client
from cluster.walk.walker import Walker, WalkParams
from serving.candidates.popular import topped_up
from serving.candidates.query import read_query
from serving.policy.labels import Forbidden
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.catalogs import Catalogs


class WalkerLogic:
    """Candidates by random walk, topped up by what is popular in the user's locale when the walk finds too few."""

    def __init__(self, catalogs: Catalogs, clients: dict[str, Client], sequence_length: int):
        self._catalogs = catalogs
        self._clients = clients
        self._length = sequence_length
        self._walkers: dict[str, Walker] = {}
        self._forbidden = {name: Forbidden(client) for name, client in clients.items()}

    def load(self, version: str) -> None:
        """Map a graph, run one walk so that everything is compiled, then make it current."""
        catalog = self._catalogs.get(version, verify=True)
        walker = Walker(catalog.graph)
        popular = np.asarray(catalog.pins.popular(-1, 1), np.int32)
        if len(popular):
            walker.walk_indices(popular, params=WalkParams(steps=1000))
        self._walkers = {**dict(list(self._walkers.items())[-1:]), version: walker}
        self._catalogs.load(version, verify=False)

    @property
    def version(self) -> str:
        """The graph version that new requests walk."""
        return self._catalogs.current.version

    def walk(self, ask: WalkAsk) -> Candidates:
        """Candidates of one request in visit-count order, at most the client's `sizes.walk`."""
        catalog, client = self._catalogs.current, self._clients[ask.client]
        forbidden = self._forbidden[ask.client]
        query = read_query(catalog, client, ask, self._length, forbidden.of(catalog))
        found = self._walker(catalog).walk_indices(
            query.pins,
            query.weight,
            params=self._params(client, query.wanted),
            seed=ask.seed,
            exclude=query.exclude,
            allowed=query.allowed,
            bias=self._locale_range(catalog, client, query.locale),
        )
        return topped_up(catalog, client, query, found, forbidden.rules)

    def _walker(self, catalog: Catalog) -> Walker:
        walker = self._walkers.get(catalog.version)
        if walker is None:
            walker = self._walkers[catalog.version] = Walker(catalog.graph)
        return walker

    @staticmethod
    def _params(client: Client, wanted: int) -> WalkParams:
        return WalkParams(top_k=max(client.sizes.walk, wanted), **client.walk.model_dump())

    @staticmethod
    def _locale_range(catalog: Catalog, client: Client, locale: int) -> tuple[int, int]:
        if client.walk.bias_share <= 0 or locale < 0:
            return 0, 0
        return catalog.graph.locale_range(locale)
