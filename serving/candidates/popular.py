"""Popular pins of the user's locale: behind a walk that found too few, and alone when there is no walk.

`PopularLogic` needs nothing but a mapped catalog, so it answers in place, in any process, when the walker does not.
"""

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.contract.ids import shown
from cluster.settings.clients import Client
from cluster.walk.walker import WalkResult
from serving.candidates.query import Query, read_query
from serving.policy.labels import Forbidden, LabelRules
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.catalogs import Catalogs

TOLD_PINS = 3
"""Unknown query pins that an answer names."""


class PopularLogic:
    """Candidates without a walk; what the user did still counts: it is excluded, and the ranking reads it."""

    def __init__(self, catalogs: Catalogs, clients: dict[str, Client], sequence_length: int):
        self._catalogs = catalogs
        self._clients = clients
        self._length = sequence_length
        self._forbidden = {name: Forbidden(client) for name, client in clients.items()}

    def load(self, version: str) -> None:
        """Map a graph; checksums are left to the process that walks it."""
        self._catalogs.load(version, verify=False)

    def popular(self, ask: WalkAsk) -> Candidates:
        """The client's `sizes.lightweight` most popular pins, or fewer. Raises BundleError without a graph."""
        catalog, client = self._catalogs.current, self._clients[ask.client]
        forbidden = self._forbidden[ask.client]
        query = read_query(catalog, client, ask, self._length, forbidden.of(catalog))
        return topped_up(catalog, client, query, None, forbidden.rules)


def topped_up(
    catalog: Catalog, client: Client, query: Query, found: WalkResult | None, labels: LabelRules
) -> Candidates:
    """What a walk found, then popular pins when that is fewer than an answer needs, then what the request brings."""
    candidates = np.empty(0, np.int32) if found is None else found.pins
    behind = _popular_behind(catalog, client, query, candidates)
    pins = np.concatenate([candidates, behind]).astype(np.int32)
    pins = np.append(pins, query.also[~np.isin(query.also, pins)])
    n = len(pins)
    return Candidates(
        graph_version=catalog.version,
        source="walk" if len(candidates) else "popular",
        locale=query.locale,
        pins=pins,
        pin_ids=catalog.graph.pin_ids.ids_of(pins),
        score=_padded(None if found is None else found.scores, (n,), np.float32),
        visits=_padded(None if found is None else found.visits, (n,), np.int32),
        hits=_padded(None if found is None else found.hits, (n,), np.int16),
        by_query=_padded(None if found is None else found.by_query, (n, len(query.pins)), np.uint32),
        query_pins=query.pins,
        query_ids=catalog.graph.pin_ids.ids_of(query.pins),
        query_weight=query.weight,
        query_age=query.age,
        sequence=query.sequence,
        labels=labels.bits(catalog, pins),
        notes=_notes(query),
    )


def _notes(query: Query) -> tuple[str, ...]:
    """What the answer should say of the query pins that start no walk."""
    told = [f"query pin {shown(pin)} is not in the graph" for pin in query.unknown[:TOLD_PINS]]
    told += [f"query pin {shown(pin)} was hidden by the user and starts no walk" for pin in query.barred[:TOLD_PINS]]
    return tuple(told)


def _popular_behind(catalog: Catalog, client: Client, query: Query, pins: np.ndarray) -> np.ndarray:
    """The popular pins that `pins` lack to an answer; without any, enough for the ranking to choose from.

    So too behind a walk whose filter left few: of rare matches a walk meets some, and the ranking should know more.
    Those of the user's locale first, then all others: as long as there are pins that may be shown, there are enough.
    """
    enough = len(pins) and query.allowed is None
    wanted = query.wanted if enough else max(query.wanted, client.sizes.lightweight)
    if len(pins) >= wanted:
        return np.empty(0, np.int32)
    free = np.ones(catalog.graph.n_pins, bool) if query.allowed is None else query.allowed.copy()
    for taken in (query.exclude, query.pins, pins):
        free[taken] = False
    local = catalog.pins.popular(query.locale, catalog.graph.n_pins)
    local = local[free[local]][: wanted - len(pins)]
    if query.locale < 0 or len(pins) + len(local) >= wanted:
        return local
    free[local] = False
    everywhere = catalog.pins.popular(-1, catalog.graph.n_pins)
    return np.concatenate([local, everywhere[free[everywhere]][: wanted - len(pins) - len(local)]])


def _padded(values: np.ndarray | None, shape: tuple[int, ...], kind: type) -> np.ndarray:
    """`values` and a row of zeros for each of the pins behind them, which no walk reached."""
    if values is not None and len(values) == shape[0]:
        return values
    out: np.ndarray = np.zeros(shape, kind)
    if values is not None:
        out[: len(values)] = values
    return out
