"""The candidate stage of one process: each client's sources by name, and one table of what they found.

`CandidatesLogic` knows nothing of Ray, HTTP or metrics, and does not decide when a source is too late.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.contract.ids import plain_id
from cluster.settings.clients import WALK, Client
from serving.candidates.mixer import mix
from serving.candidates.pool import SourcePool
from serving.candidates.query import NOTHING, Query, read_query
from serving.candidates.union import warm
from serving.policy.hidden import HiddenPins
from serving.policy.withheld import Withheld
from serving.request.arm import ArmSettings
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.catalogs import Catalogs
from serving.request.deadline import Deadline
from serving.request.found import Discovery, FoundPins, Kind, Origin
from serving.request.per_arm import Derive, PerArm
from training.quotas.learned import LearnedQuotas


class CandidatesLogic:
    """Reads requests, calls sources, mixes what they found."""

    def __init__(
        self,
        catalogs: Catalogs,
        clients: Mapping[str, Client],
        sequence_length: int,
        withheld: Withheld | None = None,
        derive: Derive | None = None,
    ):
        """`withheld`: what was taken down, if anything can be; `derive`: as for `PerArm`.

        Raises ConfigError for a source that cannot be made.
        """
        self._catalogs = catalogs
        self._length = sequence_length
        self._withheld = withheld
        self._hidden = HiddenPins()
        self._pool = SourcePool()
        self._of = PerArm(clients, self._pool.sources_of, derive)
        warm()

    def load(self, version: str) -> None:
        """Verify a graph, make every source ready for it, then make it current."""
        self.serve(self._catalogs.freshest(self._catalogs.verified(version)))

    def serve(self, catalog: Catalog) -> None:
        """Make every source ready for a verified graph, then make it current."""
        self._pool.prepare(catalog)
        self._catalogs.serve(catalog)

    def prepare_arm(self, arm: ArmSettings) -> None:
        """Make its sources, and those of them that are new ready for the current graph. Raises ConfigError."""
        self._of.of_arm(arm)

    def keep_arms(self, arms: Collection[ArmSettings]) -> None:
        """Forget all other arms; what only they have is let go."""
        self._of.keep({arm.key for arm in arms})
        self._pool.keep(self._of.made())

    @property
    def version(self) -> str:
        """The graph version that new requests use."""
        return self._catalogs.current.version

    def query(self, ask: WalkAsk, version: str | None = None) -> Query:
        """A request in terms of the current graph, or of `version`. Raises BundleError without it."""
        catalog: Catalog = self._catalogs.current if version is None else self._catalogs.get(version)
        mine = self._of.of(ask)
        labels = mine.forbidden
        forbidden = labels.of(catalog, locale_of(catalog, ask) if labels.by_locale else None)
        removed = NOTHING if self._withheld is None else self._withheld.of(catalog)
        unwanted = self._hidden.of(catalog, ask.hidden_boards, ask.hidden_topics)
        return read_query(catalog, mine.client, ask, self._length, forbidden, removed, unwanted)

    def load_quotas(self, client: str, table: LearnedQuotas) -> None:
        """Ask the client's sources for as much as has been learned to be worth it."""
        self._pool.load_quotas(client, table, self._of.made())

    def note_time(self, ask: WalkAsk, used: float) -> None:
        """A request needed the share `used` of its deadline: the price of candidates follows."""
        self._of.of(ask).quotas.price.note(used)

    def budgets(self, query: Query) -> dict[str, int]:
        """Most pins of each source that is asked; of the walk at least as many as the answer is to have."""
        bought = {name: n for name, n in self._of.of(query.ask).quotas.budgets(query).items() if n > 0}
        return {name: max(n, query.wanted) if name == WALK else n for name, n in bought.items()}

    def in_place(self, name: str, query: Query) -> bool:
        """Whether the source may be called where the rest of the request is computed."""
        return self._of.of(query.ask).sources[name].in_place

    def generate(self, name: str, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """What one source finds. Raises what it raises, and DataError for what is no `FoundPins`."""
        source = self._of.of(query.ask).sources[name]
        return source.generate(query, budget, deadline).checked(query.catalog.graph.n_pins, budget)

    def mixed(self, query: Query, found: Mapping[str, FoundPins], budget: Mapping[str, int]) -> Candidates:
        """One table of what the sources found; popular pins where that is nothing."""
        return mix(query, found, budget, self._of.of(query.ask).forbidden.rules)

    def discoveries(self, candidates: Candidates, rows: Sequence[int]) -> list[list[Discovery]]:
        """The sources that found the candidates in `rows`, and what led them there."""
        graph = self._catalogs.get(candidates.graph_version)
        sources = candidates.sources
        out: list[list[Discovery]] = []
        for row in rows:
            of_row = []
            for column, name in enumerate(sources.names):
                if sources.rank[row, column] < 0:
                    continue
                kind, of = _named(graph, candidates, sources.origins[column], row)
                if kind == "board" and self._withheld is not None and self._withheld.has_board(of):
                    kind, of = "", None
                rank, score = int(sources.rank[row, column]), float(sources.score[row, column])
                of_row.append(Discovery(name, rank, score, kind, of))
            out.append(of_row)
        return out

    def candidates(self, ask: WalkAsk) -> Candidates:
        """All sources one after the other, for callers that wait as long as it takes."""
        query = self.query(ask)
        budget = self.budgets(query)
        endless = Deadline(math.inf)
        found = {name: self.generate(name, query, most, endless) for name, most in budget.items()}
        return self.mixed(query, found, budget)


def locale_of(catalog: Catalog, ask: WalkAsk) -> str | None:
    """The locale of who asks, by its name: the user's, else the one that the request names."""
    code = catalog.users.row(ask.user_id).locale
    return catalog.pins.vocabulary.locales[code] if code >= 0 else ask.locale


def _named(catalog: Catalog, candidates: Candidates, origin: Origin, row: int) -> tuple[Kind, int | str | None]:
    """What led to the pin in `row`, by its name."""
    at = int(origin.of[row]) if origin.kind else -1
    if at < 0:
        return "", None
    if origin.kind == "topic":
        return "topic", catalog.pins.vocabulary.topics[at]
    if origin.kind == "board":
        return "board", plain_id(catalog.graph.board_ids.ids_of(np.array([at]))[0])
    return "query_pin", plain_id(candidates.query_ids[at])
