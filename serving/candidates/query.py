"""From a request to where candidates are searched from: what the user did, the weighted query pins, what to leave out.

Every candidate source reads a request through `read_query`, so that all of them agree on it.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.contract.moments import MICROSECONDS_PER_HOUR
from cluster.settings.clients import Client
from cluster.walk.weights import decayed_weights
from serving.request.ask import Recents, WalkAsk

NOTHING = np.empty(0, np.int32)


@dataclass(frozen=True)
class Query:
    """A request in terms of one catalog."""

    ask: WalkAsk
    client: Client
    catalog: Catalog
    locale: int  # the user's, else the one that the request names; -1 unknown
    sequence: Recents  # the user's last actions before the request, newest first
    actions: int  # what the user is known for, as far back as is kept, like the feature `user_history`
    pins: np.ndarray  # int32[Q], query pins that the catalog knows, heaviest first
    weight: np.ndarray  # float32[Q]
    age: np.ndarray  # float32[Q], hours
    exclude: np.ndarray  # int32[e], sorted: what may not be shown to this user, and what the policy shows to nobody
    allowed: np.ndarray | None  # bool[n_pins], what the request's filter matches; None: all
    also: np.ndarray  # int32[k], pins that are candidates whatever a source finds
    wanted: int  # pins that the answer is to have
    unknown: tuple[int | str, ...]  # query pins that the request names and the catalog does not have
    barred: tuple[int | str, ...]  # query pins that the request names and the user hid

    def may_show(self) -> np.ndarray:
        """bool[n_pins], the caller's own: pins that the request may be answered with, query pins left out as well."""
        n = self.catalog.graph.n_pins
        free: np.ndarray = np.ones(n, bool) if self.allowed is None else self.allowed.copy()
        free[self.exclude] = False
        free[self.pins] = False
        return free

    def keeps(self, pins: np.ndarray) -> np.ndarray:
        """bool[n] of pins int32[n]: those of `may_show`."""
        keep = ~np.isin(pins, self.pins) & ~_among(self.exclude, pins)
        if self.allowed is not None:
            keep &= self.allowed[pins]
        return np.asarray(keep)


def read_query(
    catalog: Catalog,
    client: Client,
    ask: WalkAsk,
    length: int,
    forbidden: np.ndarray,
    removed: np.ndarray = NOTHING,
    unwanted: np.ndarray = NOTHING,
) -> Query:
    """The query of a request, with at most `length` actions of the user.

    `forbidden` (int32, sorted) joins what this request may not be answered with: it is all left out before any cut.
    `removed` (the same) as well, and no walk starts there, as if the catalog did not have them; `unwanted` (the same)
    the user hid with their board or topic, and no walk starts there either.
    Raises BundleError when the request filters by an attribute that the catalog was built without.
    """
    user = catalog.users.row(ask.user_id)
    history = Recents(user.pin_ids, user.actions, user.clients, user.occurred_at)
    sequence = merge_sequence(history, ask.recents, ask.at, length)
    hidden = {*ask.hidden, *user.hidden.tolist()}
    ids, weight, age = query_pins(client, sequence, ask.query_pins, ask.at, hidden)
    index = _but(unwanted, _but(removed, index_of(catalog, ids)))
    known = index >= 0
    exclude = index_of(catalog, [*ask.barred(), *ask.seen, *hidden, *sequence.pin_ids.tolist()])
    named = [pin for pin, _ in ask.query_pins]
    there = index_of(catalog, named)
    hers = _among(unwanted, there)
    allowed = None if ask.filter is None else catalog.attributes.matching(ask.filter)
    also = index_of(catalog, list(ask.also))
    also = also[also >= 0]
    return Query(
        ask=ask,
        client=client,
        catalog=catalog,
        locale=user.locale if user.locale >= 0 else catalog.pins.locale_code(ask.locale),
        sequence=sequence,
        actions=min(len(user.pins) + int((ask.recents.occurred_at < ask.at).sum()), catalog.feature_set.history_length),
        pins=index[known],
        weight=weight[known],
        age=age[known],
        exclude=_merged(
            _merged(_merged(forbidden, removed), unwanted), np.unique(exclude[exclude >= 0]).astype(np.int32)
        ),
        allowed=allowed,
        also=also if allowed is None else also[allowed[also]],
        wanted=ask.limit or client.sizes.answer,
        barred=tuple(pin for pin, hid in zip(named, hers.tolist(), strict=True) if hid or pin in hidden),
        unknown=tuple(np.array(named, object)[_but(removed, there) < 0].tolist()),
    )


def _among(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """bool[n]: which of `values` a sorted array has."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    return np.asarray(ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values)


def _but(removed: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Indices of pins, with -1 for those that are removed."""
    return np.where(_among(removed, index), np.int32(-1), index)


def _merged(many: np.ndarray, few: np.ndarray) -> np.ndarray:
    """Two sorted arrays as one, without sorting the large one again."""
    if not len(many) or not len(few):
        return many if len(many) else few
    at = np.searchsorted(many, few)
    new = many[np.minimum(at, len(many) - 1)] != few
    return np.insert(many, at[new], few[new])


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
    client: Client,
    sequence: Recents,
    asked: tuple[tuple[int | str, float | None], ...],
    at: int,
    hidden: Collection[int | str] = (),
) -> tuple[list[int | str], np.ndarray, np.ndarray]:
    """Query pins of a request with their weights and ages in hours: ids, float32[Q], float32[Q], heaviest first.

    An action's weight is its client setting, halved every `half_life_hours` (Pixie section 5.1); repeated actions
    on a pin add up. A hidden pin starts no walk, whatever the user did with it before, and not even when the request
    names it.
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
    for pin in hidden:
        weight.pop(pin, None)
    ranked = sorted(weight, key=lambda pin: -weight[pin])[: settings.max_pins]
    return ranked, np.array([weight[p] for p in ranked], np.float32), np.array([age[p] for p in ranked], np.float32)


def index_of(catalog: Catalog, ids: list[int | str]) -> np.ndarray:
    """Indices of ids; an id of the other type than the project's is unknown (-1), not an error."""
    out = np.full(len(ids), -1, np.int32)
    kind = int if catalog.graph.pin_ids.dtype == "int64" else str
    fits = [row for row, pin in enumerate(ids) if isinstance(pin, (kind, np.integer if kind is int else str))]
    if fits:
        out[fits] = catalog.graph.pin_ids.index_of([ids[row] for row in fits])
    return out
