"""The sources of clients and of arms: those that say the same share one, with what it holds in memory."""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cluster.catalog.catalog import Catalog
from cluster.settings.clients import Client
from serving.candidates import sources as shipped
from serving.candidates.generator import CandidateGenerator, make_generator
from serving.candidates.quotas import Quotas
from serving.policy.labels import Forbidden
from training.quotas.learned import LearnedQuotas

assert shipped  # imported for what it registers


@dataclass(frozen=True)
class ClientSources:
    """What the candidate stage has of one client, or of one as an arm has it."""

    client: Client
    forbidden: Forbidden
    quotas: Quotas
    sources: Mapping[str, CandidateGenerator]  # by the names of the client's file


class SourcePool:
    """Of one process. Thread-safe."""

    def __init__(self) -> None:
        self._made: dict[str, CandidateGenerator] = {}
        self._tables: dict[str, LearnedQuotas] = {}
        self._catalog: Catalog | None = None  # that the sources are ready for; None: none of them is called here
        self._lock = threading.RLock()

    def sources_of(self, client: Client) -> ClientSources:
        """Makes what is not there yet, and ready for the graph that serves. Raises ConfigError."""
        with self._lock:
            sources = {name: self._source(client, name) for name in client.sources}
            quotas = Quotas(client)
            if client.allotment.learned:
                quotas.load(self._tables.get(client.name))
            return ClientSources(client, Forbidden(client), quotas, sources)

    def prepare(self, catalog: Catalog) -> None:
        """Make every source ready for a verified graph."""
        with self._lock:
            for source in self._made.values():
                source.prepare(catalog)
            self._catalog = catalog

    def load_quotas(self, client: str, table: LearnedQuotas, made: Iterable[ClientSources]) -> None:
        """Take learned quotas for a client, and for its arms that ask for them."""
        with self._lock:
            self._tables[client] = table
            for one in made:
                if one.client.name == client and one.client.allotment.learned:
                    one.quotas.load(table)

    def keep(self, used: Iterable[ClientSources]) -> None:
        """Let go of sources that nobody has any more."""
        with self._lock:
            held = {id(source) for one in used for source in one.sources.values()}
            self._made = {same: source for same, source in self._made.items() if id(source) in held}

    def _source(self, client: Client, name: str) -> CandidateGenerator:
        source = client.sources[name]
        same = json.dumps([source.use or name, source.settings], sort_keys=True, default=str)
        if same not in self._made:
            made = make_generator(client, name, source)
            if self._catalog is not None:
                made.prepare(self._catalog)
            self._made[same] = made
        return self._made[same]
