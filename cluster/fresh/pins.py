"""The pin table of a bundle with rows of fresh pins behind, and with the counts of those that were saved since.

Everything is as a new build would write it, but for what is told of all pins at once: days and recent saves go by the
newest save of the bundle, and topics that no pin of the bundle has have no column yet.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from cluster.catalog.catalog import Catalog
from cluster.catalog.labels import PinLabels
from cluster.catalog.pins import PinTable, SaveCounts, pin_rows
from cluster.data.casting import list_matrix
from cluster.features.assemble import fill_pin_columns
from cluster.features.inputs import PinInput
from cluster.features.likeness import unit_rows
from cluster.features.pin import PRIOR
from cluster.fresh.popular import PopularOrders
from cluster.graph.any_graph import AnyGraph
from cluster.graph.edges import IndexedEdges
from cluster.graph.ids import IdMap
from cluster.store.roomy import with_room

BY_SAVES = ("pin_degree", "pin_recent_share")
"""Columns of a pin that change when it is saved."""
BY_ACTIONS = ("pin_actions", "pin_week", "pin_month")
"""Columns of a pin that nobody has acted on yet, as of all those pins; and shares of actions."""


@dataclass(frozen=True)
class Touched:
    """Pins that are new or were saved: index int64[k], ascending, and how often they are saved by now."""

    pins: np.ndarray
    degree: np.ndarray  # int32[k]
    dated: np.ndarray  # int32[k]
    recent: np.ndarray  # float32[k]


class PinTableBase:
    """The pins of one bundle, to which others are added again and again."""

    def __init__(self, catalog: Catalog):
        """Raises BundleError where the bundle does not tell how often pins were saved."""
        self._catalog = catalog
        self._saves = SaveCounts.open(catalog.path / "pins", catalog.graph)
        self._columns = {name: at for at, name in enumerate(catalog.feature_set.pin)}

    @cached_property
    def _popularity(self) -> PopularOrders:
        return PopularOrders.of(self._catalog.pins, self._saves)

    @cached_property
    def _idle(self) -> dict[int, float]:
        """The columns by actions of a pin that nobody acted on."""
        static = self._catalog.pins.static
        shares = [name for name in self._columns if name.startswith("pin_share_of_")]
        total = np.rint(np.expm1(np.asarray(static[:, self._columns["pin_actions"]], np.float64)))
        idle = np.flatnonzero(total == 0)
        out = dict.fromkeys((self._columns[name] for name in BY_ACTIONS), 0.0 if len(total) else np.nan)
        if np.isnan(total).any():
            return dict.fromkeys([*out, *(self._columns[name] for name in shares)], np.nan)
        for at in (self._columns[name] for name in shares):
            if len(idle):
                out[at] = float(static[idle[0], at])
            else:  # solved for what everybody's share was
                out[at] = float((static[:, at] * (total + PRIOR)).sum() / (total.sum() + PRIOR * len(total)))
        return out

    def with_pins(self, graph: AnyGraph, new: IndexedEdges, pins: pa.Table | None) -> PinTable:
        """`graph`: with the edges of `new`; `pins`: the cleaned rows of its new pins, None without a pins input."""
        base = self._catalog.pins
        n = len(base)
        touched = self._touched(graph, new)
        fresh = touched.pins[touched.pins >= n]
        rows = np.full(len(touched.pins), -1, np.int64)
        if len(fresh):
            rows[touched.pins >= n] = pin_rows(IdMap.from_ids(graph.pin_ids.ids_of(fresh)), pins)
        taken = rows[touched.pins >= n]
        out = replace(
            base,
            static=self._static(graph.n_pins, touched, pins, rows),
            topics=with_room(base.topics, graph.n_pins),
            vectors=with_room(base.vectors, graph.n_pins),
            locale=with_room(base.locale, graph.n_pins),
        )
        out.locale[n:] = -1
        if pins is not None and len(fresh):
            given = pins.take(pa.array(taken))
            out.topics[n:] = base.vocabulary.topic_rows(given["topics"])
            if width := base.vectors.shape[1]:
                out.vectors[n:] = unit_rows(list_matrix(given["vector"], width))
            if graph.locale_bounds is not None:
                out.locale[n:] = base.vocabulary.locale_codes(given["locale"])
        labels = None if base.labels is None else _labels(base.labels, pins, taken)
        popular, by_locale, bounds = self._popularity.with_pins(touched, out.locale)
        return replace(out, labels=labels, _popular=popular, _popular_by_locale=by_locale, _popular_bounds=bounds)

    def _touched(self, graph: AnyGraph, new: IndexedEdges) -> Touched:
        n = self._catalog.graph.n_pins
        index = graph.pin_ids.index_of(new.pin_ids).astype(np.int64)
        more_dated, more_recent = new.pin_counts(self._saves.span)
        order = np.argsort(index)
        pins = index[order]
        known = pins < n
        dated = more_dated[order]
        recent = more_recent[order].astype(np.float32)
        dated[known] += self._saves.dated[pins[known]]
        recent[known] += self._saves.recent[pins[known]]
        return Touched(pins, graph.pin_degree[pins], dated, np.minimum(recent, dated))

    def _static(self, n_pins: int, touched: Touched, pins: pa.Table | None, rows: np.ndarray) -> np.ndarray:
        base = self._catalog.pins.static
        out = with_room(base, n_pins)
        made = np.empty((len(touched.pins), out.shape[1]), np.float32)
        known = PinInput(touched.degree, touched.dated, touched.recent, self._saves.span.newest, pins, rows)
        fill_pin_columns(self._catalog.feature_set, known, made)
        fresh = touched.pins >= len(base)
        if fresh.any():
            for column, value in self._idle.items():
                made[:, column] = value
            out[touched.pins[fresh]] = made[fresh]
        for column in (self._columns[name] for name in BY_SAVES):
            out[touched.pins[~fresh], column] = made[~fresh, column]
        return out


def _labels(base: PinLabels, pins: pa.Table | None, rows: np.ndarray) -> PinLabels:
    """The labels with those of fresh pins behind: values that no pin had have the next codes."""
    codes = with_room(base.codes, len(base.codes) + len(rows))
    codes[len(base.codes) :] = -1
    values = list(base.values)
    for at, name in enumerate(base.columns):
        if pins is None:
            continue
        code_of = {value: code for code, value in enumerate(values[at])}
        given = [None if row < 0 else value for row, value in zip(rows, pins[name].take(pa.array(rows)), strict=True)]
        texts = [None if value is None else value.as_py() for value in given]
        for value in texts:
            if value is not None:
                code_of.setdefault(value, len(code_of))
        codes[len(base.codes) :, at] = [-1 if value is None else code_of[value] for value in texts]
        values[at] = tuple(code_of)
    return PinLabels(base.columns, codes, tuple(values))
