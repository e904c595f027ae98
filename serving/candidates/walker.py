"""The walker stage: from a user and query pins to candidates. `WalkerLogic` knows nothing of Ray, HTTP or metrics."""

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.settings.clients import Client
from cluster.walk.walker import Walker, WalkParams
from cluster.walk.weights import decayed_weights
from serving.policy.labels import LabelRules
from serving.request.ask import Recents, WalkAsk
from serving.request.catalogs import Catalogs
from serving.request.walked import Walked

MICROSECONDS_PER_HOUR = 3.6e9


def merge_sequence(history: Recents, live: Recents, at: int, length: int) -> Recents:
    """The user's last `length` actions strictly before `at`, newest first; an action in both sources counts once."""
    pins = np.concatenate([live.pin_ids.astype(object), history.pin_ids.astype(object)])
    actions = np.concatenate([live.actions.astype(object), history.actions.astype(object)])
    clients = np.concatenate([live.clients.astype(object), history.clients.astype(object)])
    moments = np.concatenate([live.occurred_at, history.occurred_at]).astype(np.int64)
    keep: list[int] = []
    seen: set[tuple[object, object, int]] = set()
    for row in np.argsort(-moments, kind="stable"):
        key = (pins[row], actions[row], int(moments[row]))
        if moments[row] < at and key not in seen:
            seen.add(key)
            keep.append(int(row))
            if len(keep) == length:
                break
    chosen = np.array(keep, dtype=np.int64)
    return Recents(pins[chosen], actions[chosen], clients[chosen], moments[chosen])


def query_pins(
    client: Client, sequence: Recents, asked: tuple[tuple[int | str, float | None], ...], at: int
) -> tuple[list[int | str], np.ndarray, np.ndarray]:
    """Query pins of a request with their weights and ages in hours: ids, float32[Q], float32[Q], heaviest first.

    An action's weight is its client setting, halved every `half_life_hours` (Pixie section 5.1); repeated actions
    on a pin add up. Negative actions have no weight, so a hidden pin is never walked from.
    """
    settings = client.query
    weight: dict[int | str, float] = {}
    age: dict[int | str, float] = {}
    if settings.source in ("user", "both"):
        moments = np.asarray(sequence.occurred_at, np.int64)
        hours_old = np.maximum((at - moments) / MICROSECONDS_PER_HOUR, 0.0)
        decays = decayed_weights(hours_old, settings.half_life_hours).tolist()
        for pin, action, hours, decay in zip(
            sequence.pin_ids, sequence.actions, hours_old.tolist(), decays, strict=True
        ):
            base = settings.actions.get(action, 0.0)
            if base <= 0:
                continue
            weight[pin] = weight.get(pin, 0.0) + base * decay
            age[pin] = min(age.get(pin, hours), hours)
    for pin, given in asked:
        weight[pin] = weight.get(pin, 0.0) + (settings.request_weight if given is None else given)
        age[pin] = 0.0
    ranked = sorted(weight, key=lambda pin: -weight[pin])[: settings.max_pins]
    return ranked, np.array([weight[p] for p in ranked], np.float32), np.array([age[p] for p in ranked], np.float32)


def _topped_up_with_zeros(array: np.ndarray, extra: int) -> np.ndarray:
    """`array` and a row of zeros for each of the popular pins behind it."""
    return np.concatenate([array, np.zeros((extra, *array.shape[1:]), array.dtype)]) if extra else array


class WalkerLogic:
    """Candidates by random walk, topped up by what is popular in the user's locale when the walk finds too few."""

    def __init__(self, catalogs: Catalogs, clients: dict[str, Client], sequence_length: int):
        self._catalogs, self._clients, self._length = catalogs, clients, sequence_length
        self._walkers: dict[str, Walker] = {}
        self._labels = {name: LabelRules.of(client.policy) for name, client in clients.items()}

    def load(self, version: str) -> None:
        """Map a graph, run one walk so that everything is compiled, then make it current."""
        catalog = self._catalogs.get(version)
        walker = Walker(catalog.graph)
        popular = np.asarray(catalog.pins.popular(-1, 1), np.int32)
        if len(popular):
            walker.walk_indices(popular, params=WalkParams(steps=1000))
        self._walkers = {**dict(list(self._walkers.items())[-1:]), version: walker}
        self._catalogs.load(version)

    @property
    def version(self) -> str:
        """The graph version that new requests walk."""
        return self._catalogs.current.version

    def walk(self, ask: WalkAsk) -> Walked:
        """Candidates of one request in visit-count order, at most the client's `sizes.walk`."""
        catalog, client = self._catalogs.current, self._clients[ask.client]
        user = catalog.users.row(ask.user_id)
        locale = user.locale if user.locale >= 0 else catalog.pins.locale_code(ask.locale)
        history = Recents(user.pin_ids, user.actions, user.clients, user.occurred_at)
        sequence = merge_sequence(history, ask.recents, ask.at, self._length)
        ids, weight, age = query_pins(client, sequence, ask.query_pins, ask.at)
        index = self._index(catalog, ids)
        known = index >= 0
        index, weight, age = index[known], weight[known], age[known]
        exclude = self._exclude(catalog, client, sequence, ask)
        found = self._walker(catalog).walk_indices(
            index,
            weight,
            params=self._params(client),
            seed=ask.seed,
            exclude=exclude,
            bias=self._locale_range(catalog, client, locale),
        )
        pins, popular = self._topped_up(catalog, client, found.pins, np.concatenate([exclude, index]), locale)
        extra = len(pins) - len(found.pins)
        return Walked(
            graph_version=catalog.version,
            source="popular" if popular else "walk",
            locale=locale,
            pins=pins,
            pin_ids=catalog.graph.pin_ids.ids_of(pins),
            score=_topped_up_with_zeros(found.scores, extra),
            visits=_topped_up_with_zeros(found.visits, extra),
            hits=_topped_up_with_zeros(found.hits, extra),
            by_query=_topped_up_with_zeros(found.by_query, extra),
            query_pins=index,
            query_ids=catalog.graph.pin_ids.ids_of(index),
            query_weight=weight,
            query_age=age,
            sequence=sequence,
            labels=self._labels[ask.client].bits(catalog.pins.static, catalog.feature_set.pin, pins),
        )

    def _walker(self, catalog: Catalog) -> Walker:
        walker = self._walkers.get(catalog.version)
        if walker is None:
            walker = self._walkers[catalog.version] = Walker(catalog.graph)
        return walker

    @staticmethod
    def _index(catalog: Catalog, ids: list[int | str]) -> np.ndarray:
        """Indices of ids; an id of the other type than the project's is unknown (-1), not an error."""
        out = np.full(len(ids), -1, np.int32)
        kind = int if catalog.graph.pin_ids.dtype == "int64" else str
        fits = [row for row, pin in enumerate(ids) if isinstance(pin, (kind, np.integer if kind is int else str))]
        if fits:
            out[fits] = catalog.graph.pin_ids.index_of([ids[row] for row in fits])
        return out

    def _exclude(self, catalog: Catalog, client: Client, sequence: Recents, ask: WalkAsk) -> np.ndarray:
        """Pins never to answer with: those the request names, and those the user hid or already acted on."""
        index = self._index(catalog, [*ask.exclude, *sequence.pin_ids.tolist()])
        return np.unique(index[index >= 0]).astype(np.int32)

    @staticmethod
    def _params(client: Client) -> WalkParams:
        return WalkParams(top_k=client.sizes.walk, **client.walk.model_dump())

    @staticmethod
    def _locale_range(catalog: Catalog, client: Client, locale: int) -> tuple[int, int]:
        if client.walk.bias_share <= 0 or locale < 0:
            return 0, 0
        return catalog.graph.locale_range(locale)

    @staticmethod
    def _topped_up(
        catalog: Catalog, client: Client, pins: np.ndarray, exclude: np.ndarray, locale: int
    ) -> tuple[np.ndarray, bool]:
        """`pins`, followed by popular ones when there are fewer than an answer needs; and whether all are popular."""
        wanted = client.sizes.answer if len(pins) else client.sizes.lightweight
        if len(pins) >= wanted:
            return pins, False
        popular = catalog.pins.popular(locale, wanted + len(pins) + len(exclude))
        if len(popular) < wanted:
            everywhere = catalog.pins.popular(-1, wanted + len(pins) + len(exclude))
            popular = np.concatenate([popular, everywhere[~np.isin(everywhere, popular)]])
        fresh = popular[~np.isin(popular, pins) & ~np.isin(popular, exclude)][: wanted - len(pins)]
        return np.concatenate([pins, fresh]).astype(np.int32), len(pins) == 0
