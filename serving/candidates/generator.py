"""What a candidate generator is, and the generators by name. Those that ship stand in serving/candidates/sources.

Your own is a class that a client's YAML names by its import path: docs/extend/generator.md.
"""

import importlib
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from cluster.catalog.catalog import Catalog
from cluster.errors import ConfigError
from cluster.settings.clients import Client, SourceSettings
from cluster.settings.parsing import Settings, near, parse
from serving.candidates.query import Query
from serving.request.deadline import Deadline
from serving.request.found import FoundPins


class CandidateGenerator:
    """A source of candidates. One object serves all requests of a client, from several threads at once."""

    Options: ClassVar[type[Settings] | None] = None
    """What `settings` of the source may say in a client's YAML. With it, the class is made from an object of it; else
    from keywords."""

    version: str = ""
    """Of what it searches; empty: of the graph."""

    in_place: bool = False
    """It computes for milliseconds and waits for nothing, so that a server may call it in the request's own thread.
    Others are called in threads of their own, and given up when they are late."""

    def prepare(self, catalog: Catalog) -> None:
        """Make ready for a graph, before the first request with it: what takes long the first time belongs here."""

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """At most `budget` pins, best first: none of `query.exclude`, and only of `query.allowed` where that is given.

        What may not be shown is taken out behind a source as well, but then nothing else takes its slot. A source
        stops at the deadline with what it has; later it is not waited for. Whatever it raises costs the answer this
        source only.
        """
        raise NotImplementedError


G = TypeVar("G", bound=type[CandidateGenerator])

REGISTRY: dict[str, type[CandidateGenerator]] = {}


def register(name: str) -> Callable[[G], G]:
    """Enters the decorated class as the generator `name`."""

    def enter(kind: G) -> G:
        if name in REGISTRY:
            raise ValueError(f"two candidate generators are called {name!r}")
        REGISTRY[name] = kind
        return kind

    return enter


def make_generator(client: Client, name: str, source: SourceSettings) -> CandidateGenerator:
    """The generator of one entry of a client's `sources`. Raises ConfigError that names the entry and what is wrong."""
    where = f"client {client.name}: sources.{name}"
    kind = _kind_of(source.use or name, where)
    if kind.Options is not None:
        return kind(parse(kind.Options, source.settings, f"{where}.settings"))  # type: ignore[call-arg]
    try:
        return kind(**source.settings)
    except Exception as error:
        raise ConfigError(f"{where}.settings: {kind.__name__} does not take these: {error}") from error


def _kind_of(use: str, where: str) -> type[CandidateGenerator]:
    if ":" not in use:
        if use not in REGISTRY:
            raise ConfigError(
                f"{where}: no source is called {use!r}{near(use, REGISTRY)}: use one of {', '.join(sorted(REGISTRY))}, "
                "or `use: package.module:Class` for your own"
            )
        return REGISTRY[use]
    module, _, name = use.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a module does when it is imported
        raise ConfigError(f"{where}.use: {use!r} cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and callable(getattr(found, "generate", None))):
        raise ConfigError(f"{where}.use: {use!r} is no class with a method `generate`")
    return found
