"""Puts the registered features in order and computes them: blocks of one request, static columns of all pins.

Pure NumPy. A missing value is NaN, never a silent 0; both rankers treat NaN as missing. Training reads what serving
logged. How one feature is added: docs/extend/feature.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from cluster.errors import ConfigError
from cluster.features.context import CONTEXT
from cluster.features.cross import CROSS
from cluster.features.cross import told_apart as linear_and_apart
from cluster.features.feature import Feature, Side, SideName
from cluster.features.graph import GRAPH
from cluster.features.inputs import PinInput, RequestInput, SourceInput
from cluster.features.pin import PIN, action_shares, own_pin_features
from cluster.features.source import SOURCE, by_source
from cluster.features.user import USER, action_rates, own_user_features
from cluster.features.version import schema_hash
from cluster.features.version_0_1 import schema_hash_0_1
from cluster.settings.project import FeatureSettings

SIDES: tuple[Side, ...] = (USER, CONTEXT, PIN, GRAPH, CROSS, SOURCE)


@dataclass(frozen=True)
class FeatureSet:
    """The features of a project: the built-in ones and the columns its pinfunnel.yaml names."""

    features: tuple[Feature, ...]
    vector_width: int = 0
    history_actions: tuple[str, ...] = ()  # that features tell apart
    history_length: int = 512  # newest actions of a user that features look back on

    @classmethod
    def of(cls, settings: FeatureSettings) -> "FeatureSet":
        """Built-in features, side by side, then the configured columns. Raises ConfigError for a name that is taken."""
        built_in = [f for side in SIDES for f in side if settings.pin_vector_width or not f.of_vectors]
        told_apart = (*action_rates(settings), *action_shares(settings), *linear_and_apart(settings))
        features = (
            *built_in,
            *told_apart,
            *by_source(settings),
            *own_user_features(settings),
            *own_pin_features(settings),
        )
        names = [f.name for f in features]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"features: two of them are named {name}: rename the column in pinfunnel.yaml "
                    "(docs/features.md lists the names that are built in)"
                )
        return cls(features, settings.pin_vector_width, settings.history_actions, settings.history_length)

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """Names of the S user and context columns."""
        return self._named("user", "context")

    @cached_property
    def candidate(self) -> tuple[str, ...]:
        """Names of the C pin, graph, cross and source columns, pin columns first."""
        return self.pin + self._named("graph") + self._named("cross") + self._named("source")

    @cached_property
    def pin(self) -> tuple[str, ...]:
        """Names of the static pin columns, stored with the graph bundle."""
        return self._named("pin")

    @property
    def names(self) -> tuple[str, ...]:
        """All model inputs in column order: shared, then candidate."""
        return self.shared + self.candidate

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the columns that hold category codes."""
        return tuple(f.name for f in self.features if f.categorical)

    @cached_property
    def schema_hash(self) -> str:
        """Changes when a name, its order, side, type or version changes; bundles and logs carry it."""
        return schema_hash(self.features, self.vector_width)

    def accepts(self, found: str | None) -> bool:
        """Whether a bundle or a log that carries `found` was made with these very features, by this version or 0.1."""
        return found is not None and found in (self.schema_hash, schema_hash_0_1(self.features, self.vector_width))

    def functions(self, *sides: SideName) -> tuple[Callable[[Any], Any], ...]:
        """The functions of `sides`, in column order."""
        return tuple(f.compute for f in self.features if f.side in sides)

    def _named(self, *sides: SideName) -> tuple[str, ...]:
        return tuple(f.name for f in self.features if f.side in sides)

    # looked up once: requests come by the hundred a second
    @cached_property
    def _of_request(self) -> tuple[Callable[[Any], Any], ...]:
        return self.functions("user", "context")

    @cached_property
    def _of_candidates(self) -> tuple[Callable[[Any], Any], ...]:
        return self.functions("graph") + self.functions("cross")

    @cached_property
    def _of_sources(self) -> tuple[Callable[[Any], Any], ...]:
        return self.functions("source")

    @cached_property
    def of_walk(self) -> list[int]:
        """Columns of a candidate that tell of the walk alone."""
        return self.of_source("walk")

    def of_source(self, name: str) -> list[int]:
        """Columns of a candidate that tell of one source alone: NaN where it did not find the pin."""
        mine = {f.name for f in self.features if f.of_source == name}
        return [column for column, feature in enumerate(self.candidate) if feature in mine]


@dataclass(frozen=True)
class FeatureBlock:
    """The features of one request: `shared` float32[S] and `candidates` float32[n, C]."""

    shared: np.ndarray
    candidates: np.ndarray = field(repr=False)

    def matrix(self) -> np.ndarray:
        """Both sides as one float32[n, S + C], in the order of `FeatureSet.names`."""
        left = np.broadcast_to(self.shared, (len(self.candidates), len(self.shared)))
        return np.ascontiguousarray(np.concatenate([left, self.candidates], axis=1))


def build_features(features: FeatureSet, request: RequestInput) -> FeatureBlock:
    """All features of one request. `found.static` and `history.static` must hold the columns `features.pin`."""
    found = request.found
    shared = np.array([function(request) for function in features._of_request], np.float32)
    functions, static = features._of_candidates, found.static.shape[1]
    candidates = np.empty((request.candidates, static + len(functions) + len(features._of_sources)), np.float32)
    candidates[:, :static] = found.static
    for column, function in enumerate(functions, static):
        candidates[:, column] = function(request)
    fill_source_columns(features, found.sources, candidates)
    unreached = np.flatnonzero(found.sources.rank_of("walk") < 0)
    if len(unreached):
        candidates[unreached[:, None], features.of_walk] = np.nan
    return FeatureBlock(shared, candidates)


def fill_source_columns(features: FeatureSet, sources: SourceInput, candidates: np.ndarray) -> None:
    """Computes the last columns of float32[n, C], which tell of the sources."""
    functions = features._of_sources
    for column, function in enumerate(functions, candidates.shape[1] - len(functions)):
        candidates[:, column] = function(sources)


def fill_pin_columns(features: FeatureSet, pins: PinInput, out: np.ndarray) -> None:
    """Computes the static columns `features.pin` of all pins into `out`, float32[n, P], one after the other."""
    for column, function in enumerate(features.functions("pin")):
        out[:, column] = function(pins)
