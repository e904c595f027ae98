"""The orders that a replayed request is judged in: those of the funnel's stages, and others that are set beside them.

An order may exist for some requests only; what is missing is said, never left out in silence.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from apps.backfill.moment import Replayed
from cluster.errors import BundleError
from cluster.kinds import FULL, lightweight
from serving.deploy.process import Process
from serving.request.ask import WalkAsk

TITLES = {
    "popularity": "popularity, recent",
    "visit_count": "visit count",
    "visit_count_corrected": "visit count / √degree",
    "lightweight": "lightweight ranker",
    "full": "full ranker",
}
"""Orders of the funnel by name, from the first stage to the last."""
ORDERS = tuple(TITLES)
STAGES = ("visit_count", "lightweight", "full")
"""Each replaces the one before."""


class MoreOrders(Protocol):
    """Orders that are no stage of the funnel, over the same requests: `apps/bench/recommenders/panel.py` has some."""

    @property
    def titles(self) -> Mapping[str, str]:
        """What each is called, by name: of all that there are."""

    @property
    def missing(self) -> Mapping[str, str]:
        """Why one of them gives no order at all, by name."""

    def refit(self, begin: int) -> None:
        """A slice of the replay begins at this moment (microseconds): learn from what was known then."""

    def orders(self, ask: WalkAsk, k: int) -> dict[str, np.ndarray]:
        """At least the best k pin ids of each order, best first, without those that the request excludes."""


def orders(process: Process, moment: Replayed, beta: float = 0.5) -> dict[str, np.ndarray]:
    """Pin ids of each order, best first. Popularity ranks all pins; the others rank the walk's candidates.

    `visit_count_corrected` divides by degree^beta. The full ranker's order is that of the survivors that it scored,
    then the order that it was given. A stage without a model, or that failed, gives no order.
    """
    answer = moment.answer
    candidates = answer.candidates
    ranked = answer.ranked
    scored = answer.scored
    catalog = process.catalogs.get(candidates.graph_version)
    popular = catalog.graph.pin_ids.ids_of(catalog.pins.popular(-1, catalog.graph.n_pins))
    barred = np.array(answer.ask.exclude, dtype=popular.dtype)
    degree = np.maximum(catalog.graph.pin_degree[candidates.pins], 1)
    out = {
        "popularity": popular[~np.isin(popular, barred)],
        "visit_count": candidates.pin_ids,
        "visit_count_corrected": candidates.pin_ids[np.argsort(-candidates.score / degree**beta, kind="stable")],
    }
    if ranked is None:
        return out
    given = _ahead(ranked.survivors, np.arange(len(candidates.pins)))
    if ranked.version is not None:
        given = np.argsort(-ranked.scores, kind="stable")
        out["lightweight"] = candidates.pin_ids[given]
    if scored is not None and scored.version is not None:
        known = np.flatnonzero(np.isfinite(scored.utility))
        best = ranked.survivors[known[np.argsort(-scored.utility[known], kind="stable")]]
        out["full"] = candidates.pin_ids[_ahead(best, given)]
    return out


def _ahead(first: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The rows of `order`, those of `first` before all others."""
    return np.concatenate([first, order[~np.isin(order, first)]])


def unpublished(process: Process, client: str) -> dict[str, str]:
    """Why a ranking stage gives this client no order, by name; nothing for a stage that gives one."""
    found = {
        "lightweight": _why(process, lightweight(client), process.lightweight.versions().get(client)),
        "full": _why(process, FULL, process.full.version),
    }
    if not found["full"] and client in process.store.open(FULL, process.full.version, verify=False).meta.get(
        "held_back", ()
    ):
        found["full"] = f"not published for {client}: the gate held it back, see the training's reason"
    return {name: why for name, why in found.items() if why}


def _why(process: Process, kind: str, loaded: str | None) -> str:
    """Why no version of a kind is loaded: never trained, refused by the gate, or published and unusable."""
    if loaded is not None:
        return ""
    store = process.store
    current = store.current(kind)
    if current is not None:
        try:
            store.open(kind, current).require_schema(process.features).require_ids(process.project.ids)
        except BundleError as error:
            return f"published, but cannot be used: {error}"
        return f"published as {current}, but not loaded"
    stored = store.versions(kind)
    if not stored:
        return "not published: never trained, or refused before it was fitted"
    gate = store.open(kind, stored[-1], verify=False).meta.get("gate", {})
    return f"not published: {gate.get('reason', 'stored without a reason')}"
